//! The share of the windows that growth leaves to the heap bitmap: a twin without the feature
//! `heap-bits`.

#[cfg(not(feature = "heap-bits"))]
mod none;
#[cfg(feature = "heap-bits")]
mod some;

#[cfg(not(feature = "heap-bits"))]
pub(super) use none::BitmapShare;
#[cfg(feature = "heap-bits")]
pub(super) use some::BitmapShare;
