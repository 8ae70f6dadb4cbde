//! How a span's record leads to the heap bitmap: a twin without the feature `heap-bits`.

#[cfg(feature = "heap-bits")]
mod near;
#[cfg(not(feature = "heap-bits"))]
mod none;

#[cfg(feature = "heap-bits")]
pub(super) use near::BitsDistance;
#[cfg(feature = "heap-bits")]
pub(crate) use near::{BitsPlace, RecordAddress};
#[cfg(not(feature = "heap-bits"))]
pub(super) use none::BitsDistance;
#[cfg(not(feature = "heap-bits"))]
pub(crate) use none::RecordAddress;
