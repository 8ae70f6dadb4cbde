//! What an entry of a last-level table says, whatever its bits.

use archipelago_api::PhysAddr;

/// A last-level entry, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Nothing.
    Empty,
    /// The heap's, and nothing behind it. Not the same entry as [`Empty`](Self::Empty), so that
    /// its table is never taken for an empty one.
    Prepared,
    /// On its way to or from Ready: the frame is in the entry, and nobody can reach it.
    Staged(PhysAddr),
    /// Translates to the frame: read-write, never executable, for the kernel alone.
    Ready(PhysAddr),
    /// Something else: the kernel's, and never changed.
    Kernel,
}

/// What a walk over pages does to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Leaves it as it is.
    Keep,
    /// Writes it.
    Write(Leaf),
    /// Leaves it, and goes no further.
    Stop,
}
