//! Metadata memory: where tables, bitmaps and records live.
//!
//! Metadata comes from the high end of the first window, or from a window of its own, in
//! **extents**: aligned pieces of address space, each as large as the largest table. In an extent,
//! small pieces are bumped from the bottom and whole pages are taken from the top. A page is
//! committed when the first byte of it is needed and stays so; outgrown arrays are kept in stock
//! and used again.

use core::mem::{align_of, size_of, size_of_val};
use core::ptr::NonNull;

use archipelago_api::{Machine, Offset, VirtRange};

use super::cause::Cause;
use super::ledger::Purpose;
use super::ranges::Outgrown;
use super::source::{LINE_BYTES, Source};
use super::space::Space;
use crate::base::sparse::{Entry, Zeroed};
use crate::base::{PageIdx, PageRun, Shape};

/// Pieces in stock at most. Beyond them the smallest is lost, and stays charged as unused.
const STOCK: usize = 4;

/// Metadata memory, and the address space it comes from. Guarded by the growth gate.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    /// Address space for extents, which come from its high end. Heap pages may come from its low
    /// end.
    ///
    /// Invariant: the whole room is Reserved, and no token names a part of it.
    room: PageRun,
    extent_bytes: usize,
    pub(super) extent: OpenExtent,
    stock: [StockPiece; STOCK],
    /// Bytes for which the stock had no place.
    lost: usize,
}

/// An extent, by offsets in bytes.
///
/// Invariant: `bump..ready` is Ready and unused, `ready..top` is Reserved, and no token names a
/// part of either.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenExtent {
    pub(super) bump: usize,
    pub(super) ready: usize,
    top: usize,
}

/// Ready memory that is not in use.
#[derive(Clone, Copy, Debug)]
struct StockPiece {
    offset: usize,
    bytes: usize,
}

impl Metadata {
    /// Metadata memory without address space.
    pub(crate) const fn new() -> Self {
        Self {
            room: PageRun::new(PageIdx(0), 0),
            extent_bytes: 0,
            extent: OpenExtent {
                bump: 0,
                ready: 0,
                top: 0,
            },
            stock: [StockPiece {
                offset: 0,
                bytes: 0,
            }; STOCK],
            lost: 0,
        }
    }

    /// Sets the bytes of an extent, a power of two, before the first is made.
    pub(super) const fn set_extent_bytes(&mut self, bytes: usize) {
        self.extent_bytes = bytes;
    }

    /// Address space for extents, all of it Reserved.
    pub(super) const fn room(&self) -> PageRun {
        self.room
    }

    /// Replaces the room. The caller keeps its invariant: what leaves the room is recorded
    /// elsewhere, and what enters it was.
    pub(super) fn set_room(&mut self, room: PageRun) {
        self.room = room;
    }

    /// A source of memory for tables.
    pub(crate) fn source<'a, M: Machine>(
        &'a mut self,
        space: &'a Space<'a, M>,
    ) -> MetadataSource<'a, M> {
        MetadataSource {
            metadata: self,
            space,
        }
    }

    /// Bytes that are Ready and not in use.
    pub(crate) fn unused(&self) -> usize {
        let stock: usize = self.stock.iter().map(|piece| piece.bytes).sum();
        stock + self.lost + (self.extent.ready - self.extent.bump)
    }

    /// Puts an outgrown array of ranges of this heap in stock.
    pub(super) fn put_in_stock<M: Machine>(&mut self, outgrown: Outgrown, space: &Space<'_, M>) {
        let array = outgrown.into_slice();
        let bytes = size_of_val(array).next_multiple_of(LINE_BYTES);
        let address = space.machine().address(NonNull::from(array).cast());
        if let Some(offset) = address.and_then(|address| M::GEOMETRY.offset(address)) {
            space
                .ledger()
                .transfer(Purpose::Ranges, Purpose::UnusedMetadata, bytes);
            self.stock_up(offset.value(), bytes);
        }
    }

    /// Puts unused Ready memory in stock, in the place of the smallest piece there.
    fn stock_up(&mut self, offset: usize, bytes: usize) {
        let mut lost = bytes;
        if let Some(smallest) = self.stock.iter_mut().min_by_key(|piece| piece.bytes) {
            if smallest.bytes < bytes {
                lost = smallest.bytes;
                *smallest = StockPiece { offset, bytes };
            }
        }
        self.lost += lost;
    }

    fn find_stock(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let fits =
            |piece: &&mut StockPiece| piece.bytes >= bytes && piece.offset & (align - 1) == 0;
        let piece = self
            .stock
            .iter_mut()
            .filter(fits)
            .min_by_key(|piece| piece.bytes)?;
        let offset = piece.offset;
        piece.offset += bytes;
        piece.bytes -= bytes;
        Some(offset)
    }

    /// Takes `bytes` of address space, aligned to `align`, off the high end of the room.
    fn take_high_end<S: Shape>(&mut self, bytes: usize, align: usize) -> Result<usize, Cause> {
        let shift = S::GEOMETRY.page_shift;
        let refused = Cause::MetadataWindow { bytes };
        let end = self.room.end().0 << shift;
        let start = end.checked_sub(bytes).ok_or(refused)? & !(align - 1);
        if start < self.room.first.0 << shift {
            return Err(refused);
        }
        self.room.count = (start >> shift) - self.room.first.0;
        Ok(start)
    }

    /// Starts a new extent. Memory of the old one that is Ready and unused goes to stock.
    fn next_extent<S: Shape>(&mut self) -> Result<(), Cause> {
        let start = self.take_high_end::<S>(self.extent_bytes, self.extent_bytes)?;
        let old = self.extent;
        if old.ready > old.bump {
            self.stock_up(old.bump, old.ready - old.bump);
        }
        self.extent = OpenExtent {
            bump: start,
            ready: start,
            top: start + self.extent_bytes,
        };
        Ok(())
    }

    /// Takes address space for whole pages off the top of the extent, or off the room if it is
    /// large.
    pub(super) fn take_address<S: Shape>(
        &mut self,
        bytes: usize,
        align: usize,
    ) -> Result<usize, Cause> {
        if bytes > self.extent_bytes / 2 {
            return self.take_high_end::<S>(bytes, align.max(self.extent_bytes));
        }
        if !self.extent.has_top(bytes, align) {
            self.next_extent::<S>()?;
        }
        let start = (self.extent.top - bytes) & !(align - 1);
        self.extent.top = start;
        Ok(start)
    }

    /// Whether a piece is small: bumped, so that it begins in the page where the last one ends.
    pub(super) fn is_small<S: Shape>(&self, bytes: usize) -> bool {
        let page = S::GEOMETRY.page_bytes();
        bytes < page || (S::SCAVENGES && bytes % page != 0 && bytes < self.extent_bytes / 4)
    }

    /// The place of the next small piece, in a new extent if the present one has none.
    pub(super) fn place<S: Shape>(&mut self, bytes: usize, align: usize) -> Result<usize, Cause> {
        loop {
            let extent = self.extent;
            let start = (extent.bump + (align - 1)) & !(align - 1);
            if start + bytes <= extent.top {
                return Ok(start);
            }
            self.next_extent::<S>()?;
        }
    }
}

impl OpenExtent {
    fn has_top(&self, bytes: usize, align: usize) -> bool {
        self.top
            .checked_sub(bytes)
            .is_some_and(|start| start & !(align - 1) >= self.ready)
    }
}

/// Metadata memory together with the machine that commits it.
#[derive(Debug)]
pub(crate) struct MetadataSource<'a, M> {
    metadata: &'a mut Metadata,
    space: &'a Space<'a, M>,
}

impl<M: Machine> MetadataSource<'_, M> {
    /// Address space for a block of `bytes` bytes, whole pages, none of it committed.
    ///
    /// # Errors
    /// [`Cause::MetadataWindow`] if none is left.
    pub(crate) fn take_block(&mut self, bytes: usize, align: usize) -> Result<Offset, Cause> {
        let offset = self.metadata.take_address::<M>(bytes, align)?;
        Ok(Offset::new(offset))
    }

    /// The offset of `block`, which this source handed out.
    pub(crate) fn offset_of(&self, block: NonNull<u8>) -> Option<Offset> {
        M::GEOMETRY.offset(self.space.machine().address(block)?)
    }

    /// Puts back the block that was taken last.
    ///
    /// # Safety
    /// No part of the block is committed, and no token names a part of it.
    pub(crate) unsafe fn put_back_block(&mut self, block: Offset, bytes: usize) {
        let metadata = &mut *self.metadata;
        if metadata.extent.top == block.value() {
            metadata.extent.top += bytes;
        } else if metadata.room.end().0 << M::GEOMETRY.page_shift == block.value() {
            metadata.room.count += bytes >> M::GEOMETRY.page_shift;
        }
    }

    /// Commits part of a block: `count` entries at `offset`, charged to `purpose`.
    ///
    /// # Errors
    /// The part is Reserved, as before.
    /// # Safety
    /// - The part lies in a block from [`take_block`](Self::take_block) that was not put back.
    /// - It is whole pages, none of which is Ready.
    pub(crate) unsafe fn commit_part<T: Entry>(
        &mut self,
        purpose: Purpose,
        offset: Offset,
        count: usize,
    ) -> Result<Zeroed<T>, Cause> {
        // SAFETY: the part is Reserved and no token names it, since a block is Reserved when it is
        // taken, and the caller promises that this part is still so.
        unsafe { self.commit(offset.value(), count * size_of::<T>(), purpose) }?;
        Ok(self.zeroed(offset.value(), count))
    }

    /// Commits whole pages, zero-filled.
    ///
    /// # Errors
    /// The pages are Reserved, as before.
    /// # Safety
    /// The `bytes` bytes at `offset` are Reserved, and no token names a part of them.
    unsafe fn commit(&self, offset: usize, bytes: usize, purpose: Purpose) -> Result<(), Cause> {
        let base = M::GEOMETRY.address(Offset::new(offset));
        // Metadata lies inside windows, which do not wrap.
        let Some(range) = VirtRange::new(base, bytes) else {
            return Err(Cause::MetadataWindow { bytes });
        };
        // SAFETY: the caller promises the same. It records the pages: as an entry's memory, or by a
        // cursor.
        unsafe { self.space.commit_zeroed(range, purpose) }
    }

    /// `count` entries at `offset`, which this source has just committed or zeroed.
    fn zeroed<T: Entry>(&self, offset: usize, count: usize) -> Zeroed<T> {
        let start = self
            .space
            .machine()
            .pointer(M::GEOMETRY.address(Offset::new(offset)));
        // SAFETY: `new` needs the entries
        // - aligned: pieces are aligned for their type, parts to their size;
        // - Ready and zero: committed just now, or taken from stock and zeroed;
        // - unshared: cursors and stock hand every byte out once.
        unsafe { Zeroed::new(start.cast::<T>(), count) }
    }

    /// Bumps a small piece, committing pages as they are reached; the piece is charged as unused.
    fn bump(&mut self, bytes: usize, align: usize) -> Result<usize, Cause> {
        let page_bytes = M::GEOMETRY.page_bytes();
        let start = self.metadata.place::<M>(bytes, align)?;
        while self.metadata.extent.ready < start + bytes {
            // SAFETY: the page is the first of `ready..top`: Reserved, and named by no token.
            unsafe {
                self.commit(
                    self.metadata.extent.ready,
                    page_bytes,
                    Purpose::UnusedMetadata,
                )
            }?;
            self.metadata.extent.ready += page_bytes;
        }
        let gap = start - self.metadata.extent.bump;
        if gap > 0 {
            self.metadata.stock_up(self.metadata.extent.bump, gap);
        }
        self.metadata.extent.bump = start + bytes;
        Ok(start)
    }

    /// Commits whole pages for a piece, charged to `purpose`, and stocks what the piece leaves of
    /// them.
    fn commit_pages(
        &mut self,
        purpose: Purpose,
        bytes: usize,
        align: usize,
    ) -> Result<usize, Cause> {
        let page_bytes = M::GEOMETRY.page_bytes();
        let whole = bytes.next_multiple_of(page_bytes);
        let offset = self
            .metadata
            .take_address::<M>(whole, align.max(page_bytes))?;
        // SAFETY: the address space was Reserved and was taken off its record just now.
        if let Err(cause) = unsafe { self.commit(offset, whole, purpose) } {
            // SAFETY: the block was taken just now, and its commit was refused.
            unsafe { self.put_back_block(Offset::new(offset), whole) };
            return Err(cause);
        }
        if whole > bytes {
            let ledger = self.space.ledger();
            ledger.transfer(purpose, Purpose::UnusedMetadata, whole - bytes);
            self.metadata.stock_up(offset + bytes, whole - bytes);
        }
        Ok(offset)
    }

    /// Takes memory, Ready and zeroed, and returns its offset: from stock, else a piece of a page,
    /// else whole pages.
    // One function for entries of every type.
    #[inline(never)]
    fn take_bytes(&mut self, purpose: Purpose, bytes: usize, align: usize) -> Result<usize, Cause> {
        let offset = match self.zeroed_from_stock(bytes, align) {
            Some(offset) => offset,
            None if self.metadata.is_small::<M>(bytes) => self.bump(bytes, align)?,
            None => return self.commit_pages(purpose, bytes, align),
        };
        self.space
            .ledger()
            .transfer(Purpose::UnusedMetadata, purpose, bytes);
        Ok(offset)
    }

    fn zeroed_from_stock(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let offset = self.metadata.find_stock(bytes, align)?;
        let start: NonNull<u8> = self
            .space
            .machine()
            .pointer(M::GEOMETRY.address(Offset::new(offset)));
        // SAFETY: `write_bytes` needs the bytes writable and unshared: stock is Ready memory that
        // is not in use.
        unsafe { start.write_bytes(0, bytes) };
        Some(offset)
    }
}

impl<M: Machine> Source for MetadataSource<'_, M> {
    fn take<T: Entry>(
        &mut self,
        purpose: Purpose,
        count: usize,
        align: usize,
    ) -> Result<Zeroed<T>, Cause> {
        let align = align.max(align_of::<T>()).max(LINE_BYTES);
        let bytes = (count * size_of::<T>()).next_multiple_of(LINE_BYTES);
        let offset = self.take_bytes(purpose, bytes, align)?;
        Ok(self.zeroed(offset, count))
    }
}

#[cfg(test)]
mod tests;
