//! The slots of a span: found, taken and given back by the bits of its record.

use archipelago_api::VirtAddr;

use super::class::{Scan, SizeClass, SpanClass};
use super::distance::RecordAddress;
use super::owned::{remote_words, take_word};
use super::record::{
    Kind, NARROW_WORDS, Record, WORD_BITS, WideRecord, ZEROED, is_claimed, is_loose, kind_of,
    scan_of,
};
use crate::base::sync::{CoreUsize as AtomicUsize, Ordering::Acquire, Ordering::Relaxed};

/// A record with all of its bits. Changes are made under the central lock, or by the CPU that owns
/// the span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanRef<'a> {
    /// The record.
    pub(crate) record: &'a Record,
    /// The record with room for more bits that it is part of.
    wide: Option<&'a WideRecord>,
    /// The record's kind as it was found.
    pub(super) kind: u32,
    /// The record's address.
    pub(super) address: RecordAddress,
}

/// A live slot that was looked up to be freed, and the word that has its bit.
///
/// Invariant: the slot's bit was set when the token was made, under the central lock, which is held
/// until the token is used up. So a slot is freed once.
#[derive(Debug)]
pub(crate) struct LiveSlot<'a> {
    word: &'a AtomicUsize,
    pub(super) slot: usize,
}

impl LiveSlot<'_> {
    /// The slot's number.
    #[inline(always)]
    pub(crate) const fn number(&self) -> usize {
        self.slot
    }
}

/// A slot whose bit was set just now.
#[derive(Debug)]
pub(super) struct SlotTaken {
    /// The slot's number.
    pub(super) slot: usize,
    /// The slot's memory is known to be zero.
    pub(super) zeroed: bool,
    /// Slots that are still free.
    pub(super) free_slots: u16,
}

impl<'a> SpanRef<'a> {
    #[inline]
    pub(super) fn new(
        record: &'a Record,
        wide: Option<&'a WideRecord>,
        kind: u32,
        address: VirtAddr,
    ) -> Self {
        Self {
            record,
            wide,
            kind,
            address: RecordAddress::new(address),
        }
    }

    /// The kind of pages that the record described when it was looked up.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        kind_of(self.kind)
    }

    /// The span's class, of which `class` is the size class.
    #[inline(always)]
    pub(crate) const fn span_class(self, class: SizeClass) -> SpanClass {
        SpanClass::new(class, self.scan())
    }

    /// Whether objects of the span may hold pointers.
    #[inline(always)]
    pub(crate) const fn scan(self) -> Scan {
        scan_of(self.kind)
    }

    /// Whether an object of the span kept its place when it shrank.
    #[inline]
    pub(crate) const fn is_loose(self) -> bool {
        is_loose(self.kind)
    }

    /// Whether the span is a large object that is being freed.
    #[inline]
    pub(crate) const fn is_claimed(self) -> bool {
        is_claimed(self.kind)
    }

    /// Word `index` of the bits.
    #[inline]
    pub(super) fn word(self, index: usize) -> &'a AtomicUsize {
        match self.record.bits.get(index) {
            Some(word) => word,
            None => &self.more()[index - NARROW_WORDS],
        }
    }

    /// The words of bits that the record has no room for.
    fn more(self) -> &'a [AtomicUsize] {
        self.wide.map_or(&[], |wide| &wide.more)
    }

    /// Whether `slot` is taken.
    #[inline]
    pub(crate) fn is_taken(self, slot: usize) -> bool {
        self.word(slot / WORD_BITS).load(Relaxed) >> (slot % WORD_BITS) & 1 != 0
    }

    /// Takes the lowest free slot of `slots`.
    #[inline]
    pub(super) fn alloc_slot(self, slots: usize) -> Option<SlotTaken> {
        for (index, word) in self.record.bits.iter().enumerate() {
            if index * WORD_BITS >= slots {
                return None;
            }
            let taken = word.load(Relaxed);
            if taken != usize::MAX {
                return self.alloc_in(word, taken, index, slots);
            }
        }
        let Self {
            record, wide, kind, ..
        } = self;
        Self::alloc_more(record, wide, kind, slots)
    }

    /// [`alloc_slot`](Self::alloc_slot) where the record's own bits are all set.
    // Out of line and by parts, which stay in registers: most slots need nothing of it.
    #[cold]
    #[inline(never)]
    fn alloc_more(
        record: &'a Record,
        wide: Option<&'a WideRecord>,
        kind: u32,
        slots: usize,
    ) -> Option<SlotTaken> {
        // The address of the record plays no part.
        let span = Self::new(record, wide, kind, VirtAddr::new(0));
        let mut words = span.more().iter().zip(NARROW_WORDS..);
        let (word, index) = words.find(|(word, _)| word.load(Relaxed) != usize::MAX)?;
        span.alloc_in(word, word.load(Relaxed), index, slots)
    }

    /// Takes the lowest free slot that has its bit in word `index`, which is `taken`.
    #[inline(always)]
    fn alloc_in(
        self,
        word: &AtomicUsize,
        taken: usize,
        index: usize,
        slots: usize,
    ) -> Option<SlotTaken> {
        let slot = index * WORD_BITS + taken.trailing_ones() as usize;
        if slot >= slots {
            return None;
        }
        word.store(taken | taken.wrapping_add(1), Relaxed);
        let free_slots = self.record.free_slots.load(Relaxed).wrapping_sub(1);
        self.record.free_slots.store(free_slots, Relaxed);
        Some(SlotTaken {
            slot,
            zeroed: self.was_fresh(slot),
            free_slots,
        })
    }

    /// Takes the first slot of a span that was just described with `slots` free slots.
    pub(super) fn alloc_first(self, slots: usize) -> SlotTaken {
        debug_assert_eq!(self.count_all_taken(), 0, "a new span has no live slot");
        // A span has at most 1280 slots.
        let free_slots = u16::try_from(slots - 1).unwrap_or(u16::MAX);
        self.word(0).store(1, Relaxed);
        self.record.free_slots.store(free_slots, Relaxed);
        SlotTaken {
            slot: 0,
            zeroed: self.was_fresh(0),
            free_slots,
        }
    }

    /// `slot`, if it is taken.
    ///
    /// # Safety
    /// The caller holds the central lock until the token is gone.
    #[inline(always)]
    pub(crate) unsafe fn taken_slot(self, slot: usize) -> Option<LiveSlot<'a>> {
        let word = self.word(slot / WORD_BITS);
        let taken = word.load(Relaxed) >> (slot % WORD_BITS) & 1 != 0;
        taken.then_some(LiveSlot { word, slot })
    }

    /// Frees a slot of this span, and returns how many are free now.
    #[inline]
    pub(super) fn free_slot(self, slot: LiveSlot<'_>) -> usize {
        let LiveSlot { word, slot } = slot;
        debug_assert!(self.is_taken(slot), "only a live slot is freed");
        word.store(word.load(Relaxed) & !(1 << (slot % WORD_BITS)), Relaxed);
        let free_slots = self.record.free_slots.load(Relaxed).wrapping_add(1);
        self.record.free_slots.store(free_slots, Relaxed);
        usize::from(free_slots)
    }

    /// Takes the remote bits of the word of `slot` away, and returns the slots that had one. The
    /// caller holds the central lock, and no CPU owns the span.
    pub(crate) fn take_remote_slots(
        self,
        slot: usize,
        slots: usize,
    ) -> impl Iterator<Item = usize> + use<> {
        let at = slot / WORD_BITS;
        let mut left = take_word(self.word(at + remote_words(slots)));
        core::iter::from_fn(move || {
            let lowest = left.trailing_zeros() as usize;
            left = (left != 0).then(|| left & (left - 1))?;
            Some(at * WORD_BITS + lowest)
        })
    }

    /// Live slots, of `slots`: of a span that a CPU owns, those that others have freed are not.
    pub(crate) fn count_live(self, slots: usize) -> usize {
        if self.record.tag().owner().is_none() {
            return self.count_taken(slots);
        }
        let live = |at| {
            let freed = self.word(at + remote_words(slots)).load(Relaxed);
            (self.word(at).load(Relaxed) & !freed).count_ones() as usize
        };
        (0..slots.div_ceil(WORD_BITS)).map(live).sum()
    }

    /// Slots of a span that a CPU owns which others have freed and it has not taken back.
    pub(crate) fn count_freed_by_others(self, slots: usize) -> usize {
        self.count_taken(slots) - self.count_live(slots)
    }

    /// Whether `slot` of `slots` is live: of a span that a CPU owns, one that others have freed is
    /// not.
    pub(crate) fn is_live(self, slot: usize, slots: usize) -> bool {
        if self.record.tag().owner().is_some() {
            // First, and in order: the owner clears the bit of a slot that it takes back last.
            let freed = self.word(slot / WORD_BITS + remote_words(slots));
            if freed.load(Acquire) >> (slot % WORD_BITS) & 1 != 0 {
                return false;
            }
        }
        self.is_taken(slot)
    }

    /// Slots whose bits are set, of `slots`.
    pub(crate) fn count_taken(self, slots: usize) -> usize {
        let words = 0..slots.div_ceil(WORD_BITS);
        words
            .map(|index| self.word(index).load(Relaxed).count_ones() as usize)
            .sum()
    }

    /// Slots whose bits are set, whatever the span's length.
    pub(crate) fn count_all_taken(self) -> usize {
        let bits = self.record.bits.iter().chain(self.more());
        bits.map(|word| word.load(Relaxed).count_ones() as usize)
            .sum()
    }

    /// Whether no slot of `slots` is live that was never handed out.
    pub(crate) fn fresh_holds(self, slots: usize) -> bool {
        let fresh = usize::from(self.record.fresh_slot.load(Relaxed));
        (fresh..slots).all(|slot| !self.is_taken(slot))
    }

    /// Whether `slot`, which is being handed out, was never handed out and lies in pages that were
    /// zero.
    #[inline]
    fn was_fresh(self, slot: usize) -> bool {
        let fresh = usize::from(self.record.fresh_slot.load(Relaxed));
        if slot < fresh {
            return false;
        }
        // Slots are taken lowest first, so none above `slot` was handed out either. At most 1280
        // slots.
        self.record
            .fresh_slot
            .store(u16::try_from(slot + 1).unwrap_or(u16::MAX), Relaxed);
        self.kind & ZEROED != 0
    }
}
