//! The place of the bits of a span's slots in a flat bitmap: found from the span's first page.

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::{Machine, VirtAddr};

use super::record::Record;
use super::slots::SpanRef;
use super::tokens::NewSlot;
use crate::arena::flat_bits;
use crate::base::PageIdx;

/// The place of the bits of a span's first word: those of its first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BitsPlace(PageIdx);

impl Record {
    /// The number of slots whose bits the record leads to: none.
    pub(crate) fn near_slots(&self) -> u32 {
        0
    }

    /// The distance that the record notes: none.
    pub(crate) fn bits_distance(&self) -> i32 {
        0
    }

    /// Notes nothing.
    pub(crate) fn set_bits(&self, _: i32, _: u32) {}
}

/// The first page of a span on a machine with pages of 4 KiB from address 0 on, which is what the
/// flat bitmap is for.
#[inline(always)]
fn first_of(record: &Record) -> PageIdx {
    PageIdx(record.start.load(Relaxed) >> 12)
}

impl SpanRef<'_> {
    /// The place of the bits of a slot; `None` if the array has none of the span's.
    #[inline(always)]
    pub(crate) fn bits_place(self, _: usize) -> Option<BitsPlace> {
        let first = first_of(self.record);
        flat_bits::has_words_of(first).then_some(BitsPlace(first))
    }
}

impl NewSlot<'_> {
    /// The place of the slot's bits; `None` if the array has none of the span's.
    #[inline(always)]
    pub(crate) fn bits_place(&self) -> Option<BitsPlace> {
        let first = first_of(self.record());
        flat_bits::has_words_of(first).then_some(BitsPlace(first))
    }
}

impl BitsPlace {
    /// The distance that a record notes: none, since no slot is found by it.
    pub(crate) fn distance(_: VirtAddr, _: VirtAddr) -> Option<i32> {
        None
    }

    /// `count` words of the bitmap from number `first` on.
    ///
    /// # Safety
    /// - The place is a span's, and the words describe words of the span.
    /// - The span stays in use as long as the words are.
    #[inline(always)]
    pub(crate) unsafe fn units<'a, M: Machine>(
        self,
        _: &M,
        first: usize,
        count: usize,
    ) -> &'a [AtomicUsize] {
        // SAFETY: `words_of` needs words that describe a span in the index: a span in use is.
        unsafe { flat_bits::words_of::<M>(self.0, first, count) }
    }
}
