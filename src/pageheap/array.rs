//! Arrays of metadata that grow in place.

use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine, Offset};

use super::page_heap::{Online, PageHeap};
use crate::base::sparse::{Entry, Zeroed};
use crate::base::{PageIdx, PageRun};
use crate::region::{Cause, Purpose};

/// Arrays take no more than one byte in so many of the address space for metadata.
const SHARE: usize = 64;

/// Address space for an array with an entry for each page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArraySpace<T> {
    /// The place of the first entry; none is Ready.
    pub(crate) entries: NonNull<T>,
    /// How many entries there is space for.
    pub(crate) most: usize,
    /// The page of the first entry.
    pub(crate) first: PageIdx,
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Takes address space for an array with an entry for each page from the lowest that the heap
    /// owns, or will, to the end of the window that metadata comes from.
    ///
    /// # Errors
    /// There is no such page, or too little address space; or [`Cause::Busy`].
    pub(crate) fn take_array_space<T: Entry>(
        &self,
        online: &Online<M>,
    ) -> Result<ArraySpace<T>, Cause> {
        let lowest = self.pool.hold().owned().iter().next();
        self.in_gate(online, |space, windows| {
            let room = windows.room();
            // Growth takes the low end of the room, if the heap owns nothing yet.
            let first = lowest.map_or(room.first, |lowest| lowest.first.min(room.first));
            let pages = PageRun::between(first, room.end());
            let page_bytes = M::GEOMETRY.page_bytes();
            let bytes = pages.count.saturating_mul(size_of::<T>());
            let bytes = bytes.max(page_bytes).next_power_of_two();
            if pages.count == 0 || bytes / page_bytes > room.count / SHARE {
                return Err(Cause::MetadataWindow { bytes });
            }
            // Not aligned to its size: then a page table that leads to the first entries leads to
            // the next metadata as well.
            let offset = windows.source(space).take_block(bytes, page_bytes)?;
            let start: NonNull<u8> = online.machine.pointer(M::GEOMETRY.address(offset));
            Ok(ArraySpace {
                entries: start.cast(),
                most: bytes / size_of::<T>(),
                first: pages.first,
            })
        })
    }

    /// Makes the page at `entries` of an array Ready, and hands its entries to `publish`.
    ///
    /// # Errors
    /// Why there is no memory, or [`Cause::Busy`]; nothing has changed.
    /// # Safety
    /// - The page lies in the space of an array, and begins with `entries`.
    /// - It is not Ready, which is still so in the gate if `is_next` says so there.
    pub(crate) unsafe fn extend_array<T: Entry>(
        &self,
        online: &Online<M>,
        purpose: Purpose,
        entries: NonNull<T>,
        is_next: impl FnOnce() -> bool,
        publish: impl FnOnce(Zeroed<T>),
    ) -> Result<(), Cause> {
        let count = M::GEOMETRY.page_bytes() / size_of::<T>();
        self.in_gate(online, |space, windows| {
            if !is_next() {
                return Err(Cause::Busy);
            }
            let mut source = windows.source(space);
            let offset = source.offset_of(entries.cast());
            let offset = offset.unwrap_or(Offset::new(0));
            // SAFETY: the page lies in a block that was taken and is never put back, and is not
            // Ready, as the caller promises.
            let memory = unsafe { source.commit_part(purpose, offset, count) }?;
            publish(memory);
            Ok(())
        })
    }
}
