//! Replaying a trace against an allocator, and checking the contents of the allocator's blocks.

mod driver;
mod memory;
mod pattern;
mod progress;

use core::alloc::Layout;
use core::ptr::NonNull;

pub use driver::{Replay, replay};
pub use progress::{ContentError, Failure, Fault, Moment, Progress, When};

/// An allocator that traces are replayed against.
///
/// # Safety
///
/// A block that [`allocate`](Self::allocate) or [`reallocate`](Self::reallocate) returns can be
/// read and written, is aligned as its layout says, and overlaps no other memory in use, until it
/// is deallocated or reallocated. Bytes that have to be zero and bytes kept by a reallocation are
/// initialised.
pub unsafe trait Target {
    /// Allocates a block, of zeros if `zeroed`; `None` if that fails. The size is never 0.
    fn allocate(&mut self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>>;

    /// Changes the size of a block, which may move; its contents stay, up to the smaller size.
    /// `None` if that fails: the block is then as it was.
    ///
    /// # Safety
    ///
    /// `pointer` is of a block of this target that is not deallocated yet, and `layout` is its
    /// layout. `new_size` is not 0, and makes a valid layout with the block's alignment.
    unsafe fn reallocate(
        &mut self,
        pointer: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>>;

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// `pointer` is of a block of this target that is not deallocated yet, and `layout` is its
    /// layout.
    unsafe fn deallocate(&mut self, pointer: NonNull<u8>, layout: Layout);
}

/// The checks that a replay makes beside the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every block is filled by a pattern of its id, and all of it is checked when it is
    /// reallocated and freed; a block that shall be zero is checked to be zero.
    Checked,
    /// No checks: blocks are not touched.
    Bare,
    /// No requests either: the cost is that of reading the trace and keeping the table.
    Null,
}
