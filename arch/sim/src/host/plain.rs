//! Memory from the host's allocator: always accessible, so that misuse shows afterwards only.
//!
//! Memory that is not Ready holds zeros, and `make_ready` finds bytes that were written. Under Miri
//! the memory is uninitialised instead, and reading it is an error on the spot.

use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;
use std::alloc;

use super::{Placement, Tampered};
use crate::violation::violation;

/// A block of the host's allocator.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Invariant: a live allocation of `layout`.
    memory: NonNull<u8>,
    layout: Layout,
    /// The window's base, inside the allocation.
    first: NonNull<u8>,
}

impl Plain {
    pub(crate) fn new(placement: Placement) -> Self {
        // An allocation aligned to the modulus would be cleared by hand, all of it; a larger one
        // comes from the host as untouched zeros.
        let bytes = placement.bytes.checked_add(placement.modulus);
        let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, 16).ok());
        let Some(layout) = layout else {
            violation(format_args!(
                "{placement:?} does not fit the host's address space"
            ));
        };
        #[cfg(not(miri))]
        // SAFETY: `layout` is not empty: a modulus is at least 1.
        let memory = unsafe { alloc::alloc_zeroed(layout) };
        #[cfg(miri)]
        // SAFETY: `layout` is not empty: a modulus is at least 1.
        let memory = unsafe { alloc::alloc(layout) };
        let Some(memory) = NonNull::new(memory) else {
            violation(format_args!("the host has no {} bytes", layout.size()));
        };
        let skip = placement.distance(memory.addr().get(), 0);
        // SAFETY: `skip` is below `modulus`, and the allocation is that much longer than the
        // window.
        let first = unsafe { memory.add(skip) };
        Self {
            memory,
            layout,
            first,
        }
    }

    pub(crate) fn first(&self) -> NonNull<u8> {
        self.first
    }

    #[cfg(not(miri))]
    pub(crate) fn make_ready(&self, at: Range<usize>, fill: u8) -> Result<(), Tampered> {
        // SAFETY: bytes of the window, zeroed by the allocator or by `make_unready`; they are not
        // Ready, so nothing may write them.
        let other = unsafe { super::find_other(self.at(at.start), at.len(), 0) };
        if let Some(found) = other {
            return Err(Tampered(at.start + found));
        }
        if fill != 0 {
            self.fill(at, fill);
        }
        Ok(())
    }

    #[cfg(miri)]
    #[expect(clippy::unnecessary_wraps, reason = "without Miri this can fail")]
    pub(crate) fn make_ready(&self, at: Range<usize>, fill: u8) -> Result<(), Tampered> {
        self.fill(at, fill);
        Ok(())
    }

    #[cfg(not(miri))]
    pub(crate) fn make_unready(&self, at: Range<usize>) {
        self.fill(at, 0);
    }

    #[cfg(miri)]
    pub(crate) fn make_unready(&self, at: Range<usize>) {
        use core::mem::MaybeUninit;

        const PIECE: usize = 256;
        for start in at.clone().step_by(PIECE) {
            if at.end - start >= PIECE {
                let piece = self.at(start).cast::<MaybeUninit<[u8; PIECE]>>();
                // SAFETY: bytes of the window in transition; unaligned writes need no more.
                unsafe { piece.write_unaligned(MaybeUninit::uninit()) };
            } else {
                self.fill(start..at.end, 0);
            }
        }
    }

    fn at(&self, position: usize) -> NonNull<u8> {
        // SAFETY: the block is asked about bytes of the window alone.
        unsafe { self.first.add(position) }
    }

    fn fill(&self, part: Range<usize>, value: u8) {
        // SAFETY: the bytes are the window's and in transition, so nothing else accesses them.
        unsafe { self.at(part.start).write_bytes(value, part.len()) };
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY:
        // - the memory is a live allocation of `layout`, by its invariant;
        // - nothing uses it, because the machine is dropped.
        unsafe { alloc::dealloc(self.memory.as_ptr(), self.layout) };
    }
}
