//! The heap bitmap: its memory, the objects that it describes, and who reads it.

#[cfg(feature = "heap-bits")]
mod memory;
#[cfg(not(feature = "heap-bits"))]
mod none;
#[cfg(test)]
#[cfg(feature = "heap-bits")]
mod planted;
#[cfg(feature = "heap-bits")]
mod resize;
#[cfg(feature = "heap-bits")]
mod scannable;
#[cfg(feature = "heap-bits")]
mod slot;
#[cfg(test)]
#[cfg(feature = "heap-bits")]
mod tests;
#[cfg(feature = "heap-bits")]
mod verify;
#[cfg(feature = "heap-bits")]
mod view;

#[cfg(feature = "heap-bits")]
pub(super) use memory::bits_share;
#[cfg(not(feature = "heap-bits"))]
pub(super) use none::bits_share;
#[cfg(feature = "heap-bits")]
pub use view::{BitsPartView, BitsView, ObjectView};
