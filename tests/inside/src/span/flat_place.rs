//! Where the bits of a span's slots are in a flat bitmap: found from the span's first page.

use core::sync::atomic::AtomicUsize;

use archipelago_api::{Machine, VirtAddr};

use super::record::Record;
use super::slots::SpanRef;
use crate::arena::flat_bits;
use crate::base::PageIdx;

/// Where the bits of a span's first word are: those of its first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BitsPlace(PageIdx);

impl Record {
    /// Where the bits of the span's slots are; `None` if the array has none of them.
    #[inline(always)]
    pub(crate) fn bits_place(&self, _: VirtAddr, _: usize) -> Option<BitsPlace> {
        let first = self.first();
        flat_bits::has_words_of(first).then_some(BitsPlace(first))
    }
}

impl SpanRef<'_> {
    /// Where the bits of the slots of a span in use are: in the array, like all its bits.
    #[inline(always)]
    pub(crate) fn bits_place(self, _: usize) -> Option<BitsPlace> {
        Some(BitsPlace(self.record.first()))
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
    /// The place is a span's, the words describe words of the span, and the span is in use.
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
