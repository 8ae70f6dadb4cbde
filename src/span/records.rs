//! Span records by their handles.
//!
//! A handle counts cache lines below the **anchor**, the end of the window that metadata memory
//! comes from, so that 32 bits reach 128 GiB to either side, whatever the width of the address
//! space.

use core::num::NonZeroU32;
use core::ptr::NonNull;

use archipelago_api::{Machine, Offset, VirtAddr};

use super::class_table::table;
use super::record::{MOST_IN_PAGE, NARROW_SLOTS, Record, WideRecord, is_wide};
use super::slots::SpanRef;
use crate::arena::SpanHandle;
use crate::base::{PageIdx, Shape};
use crate::region::LINE_BYTES;
use crate::region::windows::{REACH, reach};

/// The two sizes of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// One cache line, bits for 256 slots.
    Narrow,
    /// Three cache lines, bits for 1280 slots.
    Wide,
}

impl RecordKind {
    /// The kind that serves for this one: narrow, where no span has more slots than that.
    #[inline(always)]
    pub(crate) const fn on<M: Machine>(self) -> Self {
        if Records::<M>::HAS_WIDE {
            self
        } else {
            Self::Narrow
        }
    }

    /// Cache lines of a record.
    pub(crate) const fn lines(self) -> usize {
        match self {
            Self::Narrow => size_of::<Record>() / LINE_BYTES,
            Self::Wide => size_of::<WideRecord>() / LINE_BYTES,
        }
    }

    /// Records in a page of them.
    pub(crate) const fn in_page<S: Shape>(self) -> usize {
        let fit = S::GEOMETRY.page_bytes() / LINE_BYTES / self.lines();
        if fit < MOST_IN_PAGE {
            fit
        } else {
            MOST_IN_PAGE
        }
    }

    /// Cache lines of the piece of metadata memory that the first records of a heap lie in: for
    /// narrow ones a kilobyte, or half of a page if that is less.
    pub(crate) const fn lines_of_piece<S: Shape>(self) -> usize {
        let half = S::GEOMETRY.page_bytes() / 2 / LINE_BYTES;
        match self {
            Self::Narrow if half < 16 => half,
            Self::Narrow => 16,
            Self::Wide => 2 * self.lines(),
        }
    }
}

/// Turns handles into records and back.
#[derive(Debug)]
pub(crate) struct Records<'a, M> {
    machine: &'a M,
    anchor: Offset,
}

impl<M> Clone for Records<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Records<'_, M> {}

impl<'a, M: Machine> Records<'a, M> {
    /// Whether there are spans with more slots than a record has bits for.
    pub(crate) const HAS_WIDE: bool = match table(M::GEOMETRY.page_shift) {
        Some(table) => table.most_slots() > NARROW_SLOTS,
        None => true,
    };

    pub(crate) const fn new(machine: &'a M, anchor: Offset) -> Self {
        Self { machine, anchor }
    }

    /// Whether handles can name records anywhere in `page`.
    pub(crate) fn reach_page(&self, page: PageIdx) -> bool {
        // The record at the anchor would have the handle 0.
        page != PageIdx::at::<M>(self.anchor) && reach::<M>(self.anchor).contains(page)
    }

    /// The handle of a record, or `None` if the record is out of reach of the anchor.
    pub(crate) fn handle(&self, record: &Record) -> Option<SpanHandle> {
        let address = self.machine.address(NonNull::from(record).cast())?;
        let offset = M::GEOMETRY.offset(address)?;
        let below = self.anchor.value().wrapping_sub(offset.value());
        // Below or above the anchor: as a number of two's complement, less than `REACH` either way.
        if (below as u64).wrapping_add(REACH) >= 2 * REACH {
            return None;
        }
        NonZeroU32::new(Self::lines(below)).map(SpanHandle)
    }

    /// The number of lines in so many bytes, modulo 2^32.
    #[inline(always)]
    fn lines(bytes: usize) -> u32 {
        let lines = (bytes / LINE_BYTES) as u64 & u64::from(u32::MAX);
        u32::try_from(lines).unwrap_or(0)
    }

    /// The handle of a record that has one.
    ///
    /// # Safety
    /// The record is one of the pool's, all of which are within reach.
    #[inline(always)]
    pub(super) unsafe fn handle_at_once(&self, record: &Record) -> SpanHandle {
        let pointer = NonNull::from(record).cast();
        // SAFETY: the record lies in a window of the machine.
        let address = unsafe { self.machine.address(pointer).unwrap_unchecked() };
        // SAFETY: as above.
        let offset = unsafe { M::GEOMETRY.offset(address).unwrap_unchecked() };
        let below = self.anchor.value().wrapping_sub(offset.value());
        // SAFETY: no record lies at the anchor.
        SpanHandle(unsafe { NonZeroU32::new_unchecked(Self::lines(below)) })
    }

    /// The record that `handle` names, without the rest of a wide one.
    #[inline(always)]
    pub(super) fn record(&self, handle: SpanHandle) -> &'a Record {
        // SAFETY: `as_ref` needs
        // - a record at the address: handles are made by `handle` of a `&Record` alone;
        // - that it stays one: the memory of records is given back when none of them is in use,
        //   and then nobody has a handle of one, see `Pool`;
        // - no exclusive reference to it: its fields are atomics, and are shared.
        unsafe { self.pointer(handle).cast::<Record>().as_ref() }
    }

    /// The record that `handle` names.
    #[inline]
    pub(crate) fn get(&self, handle: SpanHandle) -> SpanRef<'a> {
        let pointer = self.pointer(handle);
        // SAFETY: as for `record`.
        let record: &Record = unsafe { pointer.cast::<Record>().as_ref() };
        let kind = record.kind_word();
        if !Self::HAS_WIDE || !is_wide(kind) {
            return SpanRef::new(record, None, kind, self.address(handle));
        }
        // SAFETY: `as_ref` needs
        // - a wide record at the address: a record is marked wide when it is made as the first line
        //   of one, whose other lines are no records of their own;
        // - provenance of all of it: the pointer has that of the whole window;
        // - that it stays one, and is shared: as above.
        let wide: &WideRecord = unsafe { pointer.cast::<WideRecord>().as_ref() };
        SpanRef::new(&wide.record, Some(wide), kind, self.address(handle))
    }

    /// The address of the record that `handle` names.
    #[inline(always)]
    pub(crate) fn address(&self, handle: SpanHandle) -> VirtAddr {
        M::GEOMETRY.address(self.offset(handle))
    }

    /// The offset that `handle` names, of a record or not.
    #[inline]
    pub(crate) fn offset(&self, handle: SpanHandle) -> Offset {
        const SIGN: usize = 1 << 31;
        let lines = (handle.0.get() as usize ^ SIGN).wrapping_sub(SIGN);
        Offset::new(
            self.anchor
                .value()
                .wrapping_sub(lines.wrapping_mul(LINE_BYTES)),
        )
    }

    /// The record that `handle` names, of which the pointer reaches all lines.
    #[inline(always)]
    pub(super) fn place(&self, handle: SpanHandle) -> NonNull<Record> {
        self.pointer(handle).cast()
    }

    /// The first byte of the span of `record`.
    ///
    /// # Safety
    /// A CPU owns the span, and does so as long as this takes.
    #[inline(always)]
    pub(super) unsafe fn start_of(&self, record: &Record) -> NonNull<u8> {
        let start = record.base::<M>();
        // SAFETY: the record is that of a span, and no window reaches address 0.
        unsafe { core::hint::assert_unchecked(start.value() != 0) };
        self.machine.pointer(start)
    }

    #[inline]
    fn pointer(&self, handle: SpanHandle) -> NonNull<u8> {
        let address = self.address(handle);
        // SAFETY: handles are made for records alone, and no window reaches address 0.
        unsafe { core::hint::assert_unchecked(address.value() != 0) };
        self.machine.pointer(address)
    }
}

#[cfg(test)]
mod tests {
    use archipelago_api::Geometry;
    use archipelago_sim::{Plain32, SimGeometry as _};

    use super::RecordKind;
    use crate::testing::{Shaped, TestGeometry};

    /// An address space with pages of 2^`SHIFT` bytes.
    struct Paged<const SHIFT: u32>;

    impl<const SHIFT: u32> TestGeometry for Paged<SHIFT> {
        const GEOMETRY: Geometry = Geometry {
            granule_shift: SHIFT,
            page_shift: SHIFT,
            chunk_shift: SHIFT + 6,
            ..Plain32::GEOMETRY
        };
    }

    /// Lines of the first piece, and records in a page, of both kinds.
    fn counts<const SHIFT: u32>() -> [usize; 4] {
        let (narrow, wide) = (RecordKind::Narrow, RecordKind::Wide);
        [
            narrow.lines_of_piece::<Shaped<Paged<SHIFT>>>(),
            wide.lines_of_piece::<Shaped<Paged<SHIFT>>>(),
            narrow.in_page::<Shaped<Paged<SHIFT>>>(),
            wide.in_page::<Shaped<Paged<SHIFT>>>(),
        ]
    }

    #[test]
    fn first_records_take_half_of_a_page_at_most() {
        assert_eq!(counts::<12>(), [16, 6, 64, 21]);
        assert_eq!(counts::<14>(), [16, 6, 127, 85]);
    }

    #[test]
    fn first_records_of_small_pages_take_half_of_one() {
        let lines = RecordKind::Narrow.lines_of_piece::<Shaped<Paged<10>>>();
        assert_eq!(lines, 8);
        let lines = RecordKind::Narrow.lines_of_piece::<Shaped<Paged<11>>>();
        assert_eq!(lines, 16);
    }
}
