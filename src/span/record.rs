//! Span records: what is known of a span, beside it.
//!
//! A record is one cache line, and its alloc bits are part of it. A span of more slots than the
//! line has bits for has a wide record, three lines of which two hold bits. Fields are atomics
//! because lookups read them without a lock; all writes are made under the central lock or before
//! the span is entered in the arena index.

use core::mem::size_of;
#[cfg(feature = "heap-bits")]
use core::sync::atomic::AtomicI32;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering::Relaxed};

use archipelago_api::VirtAddr;

use super::class::{Scan, SizeClass, SpanClass};
use crate::base::sparse::Entry;
use crate::base::{PageIdx, PageRun};

/// Slots that a record has bits for.
pub(crate) const NARROW_SLOTS: usize = 256;
/// Slots that a wide record has bits for.
pub(crate) const WIDE_SLOTS: usize = NARROW_SLOTS + 1024;

const WORD_BITS: usize = usize::BITS as usize;
const NARROW_WORDS: usize = NARROW_SLOTS / WORD_BITS;
const MORE_WORDS: usize = (WIDE_SLOTS - NARROW_SLOTS) / WORD_BITS;

/// What a record describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: it is in the pool.
    Unused,
    /// A span of slots of this size class.
    Small(u8),
    /// One large object.
    Large,
}

/// A span record. All zero is an unused one.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Record {
    first: AtomicUsize,
    pages: AtomicU32,
    /// 0 unused, 1 large, 2 + class; bit 16: wide; bit 17: the span's pages were zero when it was
    /// made; bit 18: it is scannable; bits 20 and up: how many slots have their bits near.
    kind: AtomicU32,
    free_slots: AtomicU16,
    /// Slots from here on were never handed out.
    fresh_slot: AtomicU16,
    /// How far away the bits of the span's first slots are: see [`BitsPlace`](super::BitsPlace).
    #[cfg(feature = "heap-bits")]
    pub(super) bits_distance: AtomicI32,
    pub(super) next: AtomicU32,
    pub(super) previous: AtomicU32,
    bits: [AtomicUsize; NARROW_WORDS],
}

const _: () = assert!(size_of::<Record>() == 64, "a record is one cache line");

/// A record with room for more bits.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct WideRecord {
    pub(super) record: Record,
    pub(super) more: [AtomicUsize; MORE_WORDS],
}

// SAFETY: zero is an unused record; all fields are atomics.
unsafe impl Entry for Record {}
// SAFETY: zero is an unused record; all fields are atomics.
unsafe impl Entry for WideRecord {}

const KIND_MASK: u32 = 0xffff;
const WIDE: u32 = 1 << 16;
const ZEROED: u32 = 1 << 17;
#[cfg(feature = "heap-bits")]
const SCANNABLE: u32 = 1 << 18;
#[cfg(feature = "heap-bits")]
const NEAR_SHIFT: u32 = 20;
#[cfg(feature = "heap-bits")]
const _: () = assert!(
    WIDE_SLOTS < 1 << (u32::BITS - NEAR_SHIFT),
    "all slots can be near"
);

impl Record {
    /// What the record describes.
    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.kind.load(Relaxed))
    }

    /// The span's first page.
    #[inline]
    pub(crate) fn first(&self) -> PageIdx {
        PageIdx(self.first.load(Relaxed))
    }

    /// The span's pages.
    pub(crate) fn run(&self) -> PageRun {
        PageRun::new(
            PageIdx(self.first.load(Relaxed)),
            self.pages.load(Relaxed) as usize,
        )
    }

    /// Slots that are not taken.
    pub(crate) fn free_slots(&self) -> usize {
        usize::from(self.free_slots.load(Relaxed))
    }

    pub(super) fn is_wide(&self) -> bool {
        is_wide(self.kind_word())
    }

    #[inline]
    pub(super) fn kind_word(&self) -> u32 {
        self.kind.load(Relaxed)
    }

    pub(super) fn mark_wide(&self) {
        self.kind.store(WIDE, Relaxed);
    }

    /// Makes the record describe `run`, with `slots` free slots. `zeroed` says that every page is
    /// zero.
    pub(crate) fn describe(&self, kind: Kind, run: PageRun, slots: u16, zeroed: bool) {
        let number = match kind {
            Kind::Unused => 0,
            Kind::Large => 1,
            Kind::Small(class) => 2 + u32::from(class),
        };
        let wide = self.kind.load(Relaxed) & WIDE;
        self.first.store(run.first.0, Relaxed);
        self.set_pages(run.count);
        self.free_slots.store(slots, Relaxed);
        self.fresh_slot.store(0, Relaxed);
        self.kind
            .store(number | wide | if zeroed { ZEROED } else { 0 }, Relaxed);
    }

    /// Says whether objects of the span, which was just described, may hold pointers.
    #[inline(always)]
    pub(crate) fn mark(&self, scan: Scan) {
        #[cfg(feature = "heap-bits")]
        if scan.is_yes() {
            let kind = self.kind.load(Relaxed);
            self.kind.store(kind | SCANNABLE, Relaxed);
        }
        #[cfg(not(feature = "heap-bits"))]
        let _ = scan;
    }

    /// Whether objects of the span may hold pointers.
    #[cfg(feature = "heap-bits")]
    pub(crate) fn is_scannable(&self) -> bool {
        self.kind.load(Relaxed) & SCANNABLE != 0
    }

    /// How many of the span's first slots have their bits where the record says.
    #[cfg(feature = "heap-bits")]
    #[inline(always)]
    pub(crate) fn near_slots(&self) -> u32 {
        near_slots(self.kind_word())
    }

    /// How far away those bits are.
    #[cfg(feature = "heap-bits")]
    pub(crate) fn bits_distance(&self) -> i32 {
        self.bits_distance.load(Relaxed)
    }

    /// Says that so many of the first slots of the span, which was just described and marked, have
    /// their bits side by side, so far away.
    #[cfg(feature = "heap-bits")]
    pub(crate) fn set_bits(&self, distance: i32, near_slots: u32) {
        let kind = self.kind_word() & ((1 << NEAR_SHIFT) - 1);
        self.bits_distance.store(distance, Relaxed);
        self.kind.store(kind | near_slots << NEAR_SHIFT, Relaxed);
    }

    /// Changes the length of a large object's run.
    pub(crate) fn set_pages(&self, pages: usize) {
        debug_assert!(
            u32::try_from(pages).is_ok(),
            "the heap owns less than 2^32 pages"
        );
        self.pages
            .store(u32::try_from(pages).unwrap_or(u32::MAX), Relaxed);
    }
}

#[inline]
fn kind_of(word: u32) -> Kind {
    // Classes are below 254, so that 2 + class fits a byte. Slots come first: most spans have them.
    match u8::try_from((word & KIND_MASK).wrapping_sub(2)) {
        Ok(class) => Kind::Small(class),
        Err(_) if word & KIND_MASK == 1 => Kind::Large,
        Err(_) => Kind::Unused,
    }
}

#[cfg(feature = "heap-bits")]
#[inline(always)]
pub(super) const fn near_slots(kind: u32) -> u32 {
    kind >> NEAR_SHIFT
}

/// Whether the record with this word of its kind is part of a wide one.
#[inline]
pub(super) const fn is_wide(word: u32) -> bool {
    word & WIDE != 0
}

/// A record with all of its bits. Changes are made under the central lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanRef<'a> {
    /// The record.
    pub(crate) record: &'a Record,
    /// The record with room for more bits that it is part of.
    wide: Option<&'a WideRecord>,
    /// The record's kind as it was found.
    kind: u32,
    /// The record's address.
    #[cfg(feature = "heap-bits")]
    pub(super) address: VirtAddr,
}

/// A slot that is taken, and the word that has its bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveSlot<'a> {
    word: &'a AtomicUsize,
    slot: usize,
}

#[cfg(feature = "heap-bits")]
impl LiveSlot<'_> {
    /// The slot's number.
    pub(crate) const fn number(self) -> usize {
        self.slot
    }
}

/// A slot that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotTaken {
    pub(crate) slot: usize,
    /// The slot's memory is known to be zero.
    pub(crate) zeroed: bool,
    /// Slots that are left.
    pub(crate) free_slots: u16,
}

impl<'a> SpanRef<'a> {
    #[inline]
    pub(super) fn new(
        record: &'a Record,
        wide: Option<&'a WideRecord>,
        kind: u32,
        address: VirtAddr,
    ) -> Self {
        #[cfg(not(feature = "heap-bits"))]
        let _ = address;
        Self {
            record,
            wide,
            kind,
            #[cfg(feature = "heap-bits")]
            address,
        }
    }

    /// What the record described when it was looked up.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        kind_of(self.kind)
    }

    /// The number of the span's class, of which `class` is that of the size class.
    #[inline(always)]
    pub(super) fn number_of(self, class: u8) -> usize {
        #[cfg(feature = "heap-bits")]
        if self.kind & SCANNABLE != 0 {
            return SpanClass::numbered(class).number();
        }
        usize::from(class)
    }

    /// The span's class, of which `class` is the size class.
    #[inline(always)]
    pub(crate) fn span_class(self, class: SizeClass) -> SpanClass {
        #[cfg(feature = "heap-bits")]
        if self.kind & SCANNABLE != 0 {
            return SpanClass::scannable(class);
        }
        SpanClass::noscan(class)
    }

    #[inline]
    fn word(self, index: usize) -> &'a AtomicUsize {
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

    /// Whether objects of the span may hold pointers.
    #[cfg(feature = "heap-bits")]
    #[inline]
    pub(crate) fn is_scannable(self) -> bool {
        self.kind & SCANNABLE != 0
    }

    /// How many of the first slots have their bits where the record says.
    #[cfg(feature = "heap-bits")]
    #[inline(always)]
    pub(super) const fn near_slots(self) -> u32 {
        near_slots(self.kind)
    }

    /// Takes the lowest free slot of `slots`.
    #[inline]
    pub(crate) fn take_slot(self, slots: usize) -> Option<SlotTaken> {
        for (index, word) in self.record.bits.iter().enumerate() {
            if index * WORD_BITS >= slots {
                return None;
            }
            let taken = word.load(Relaxed);
            if taken != usize::MAX {
                return self.take_in(word, taken, index, slots);
            }
        }
        let Self {
            record, wide, kind, ..
        } = self;
        Self::take_more(record, wide, kind, slots)
    }

    /// The same where the record's own bits are all set.
    // Apart and by its parts, which stay in registers: most slots need nothing of it.
    #[cold]
    #[inline(never)]
    fn take_more(
        record: &'a Record,
        wide: Option<&'a WideRecord>,
        kind: u32,
        slots: usize,
    ) -> Option<SlotTaken> {
        // Where the record is plays no part.
        let span = Self::new(record, wide, kind, VirtAddr::new(0));
        let mut words = span.more().iter().zip(NARROW_WORDS..);
        let (word, index) = words.find(|(word, _)| word.load(Relaxed) != usize::MAX)?;
        span.take_in(word, word.load(Relaxed), index, slots)
    }

    /// Takes the lowest free slot that has its bit in word `index`, which is `taken`.
    #[inline(always)]
    fn take_in(
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

    /// `slot`, if it is taken.
    #[inline]
    pub(crate) fn taken_slot(self, slot: usize) -> Option<LiveSlot<'a>> {
        let word = self.word(slot / WORD_BITS);
        let taken = word.load(Relaxed) >> (slot % WORD_BITS) & 1 != 0;
        taken.then_some(LiveSlot { word, slot })
    }

    /// Gives back a slot of this span, live since it was looked up, and answers how many are free
    /// now.
    #[inline]
    pub(crate) fn give_slot(self, slot: LiveSlot<'_>) -> usize {
        let LiveSlot { word, slot } = slot;
        debug_assert!(self.is_taken(slot), "only a live slot is given back");
        word.store(word.load(Relaxed) & !(1 << (slot % WORD_BITS)), Relaxed);
        let free_slots = self.record.free_slots.load(Relaxed).wrapping_add(1);
        self.record.free_slots.store(free_slots, Relaxed);
        usize::from(free_slots)
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

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Record {
    pub(crate) fn plant_free_slots(&self, more: u16) {
        self.free_slots.fetch_add(more, Relaxed);
    }

    pub(crate) fn plant_bit(&self, slot: usize) {
        self.bits[slot / WORD_BITS].fetch_or(1 << (slot % WORD_BITS), Relaxed);
    }

    pub(crate) fn plant_fresh_slot(&self, slot: u16) {
        self.fresh_slot.store(slot, Relaxed);
    }

    pub(crate) fn plant_previous(&self, handle: u32) {
        self.previous.store(handle, Relaxed);
    }
}
