//! The word of an arena's bitmap: a twin without the feature `heap-bits`.

#[cfg(not(feature = "heap-bits"))]
mod none;
#[cfg(feature = "heap-bits")]
mod some;

#[cfg(not(feature = "heap-bits"))]
pub(super) use none::BitmapWord;
#[cfg(feature = "heap-bits")]
pub(super) use some::{BitmapWord, Part};
