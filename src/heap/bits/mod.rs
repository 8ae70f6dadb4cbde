//! The heap bitmap: its memory, and the objects that it describes.

#[cfg(feature = "heap-bits")]
mod memory;
#[cfg(not(feature = "heap-bits"))]
mod none;
#[cfg(all(test, feature = "heap-bits"))]
mod tests;
#[cfg(feature = "heap-bits")]
mod verify;
