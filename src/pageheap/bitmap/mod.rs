//! The memory of the heap bitmap: one type, empty without the feature `heap-bits`.

#[cfg(feature = "heap-bits")]
mod memory;
#[cfg(not(feature = "heap-bits"))]
mod none;

#[cfg(feature = "heap-bits")]
pub(crate) use memory::BitmapMemory;
#[cfg(not(feature = "heap-bits"))]
pub(crate) use none::BitmapMemory;
