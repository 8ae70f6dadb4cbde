//! Scannable objects, which the heap bitmap describes: a twin without the feature `heap-bits`.

#[cfg(feature = "heap-bits")]
mod alloc;
#[cfg(feature = "heap-bits")]
mod hooks;
#[cfg(not(feature = "heap-bits"))]
mod none;
#[cfg(feature = "heap-bits")]
mod resize;
#[cfg(test)]
#[cfg(feature = "heap-bits")]
mod tests;

#[cfg(feature = "heap-bits")]
pub(super) use hooks::{NewBits, cut_bits};
#[cfg(not(feature = "heap-bits"))]
pub(super) use none::{NewBits, cut_bits};
