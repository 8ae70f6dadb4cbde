//! The way from a span's record to the heap bitmap: a twin without the feature `heap-bits`.

#[cfg(not(feature = "heap-bits"))]
mod none;
#[cfg(feature = "heap-bits")]
mod some;

#[cfg(not(feature = "heap-bits"))]
pub(super) use none::RecordAddress;
#[cfg(feature = "heap-bits")]
pub(super) use some::RecordAddress;
