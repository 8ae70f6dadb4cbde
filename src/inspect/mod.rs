//! Layer 8: statistics, views and verification.
//!
//! Everything here reads all layers and changes nothing.

#[cfg(feature = "heap-bits")]
mod bits;
mod check;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod planted;
#[cfg(test)]
#[cfg(feature = "heap-bits")]
mod planted_bits;
#[cfg(test)]
mod planted_owned;
mod rules;
mod stats;
mod verify;
#[cfg(feature = "heap-bits")]
mod verify_bits;
mod verify_lists;
#[cfg(not(feature = "heap-bits"))]
mod verify_no_bits;
mod views;
mod walk;

#[cfg(feature = "heap-bits")]
pub use bits::{BitsPartView, BitsView, ObjectView};
pub use rules::Violation;
pub use stats::{PageStats, Stats};
pub use views::{ArenaView, ChunkView, SpanView};
