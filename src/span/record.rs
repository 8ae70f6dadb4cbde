//! Span records: the description of a span, beside it.
//!
//! A record is one cache line, and its alloc bits are part of it. A span of more slots than the
//! line has bits for has a wide record, three lines of which two hold bits. Fields are atomics
//! because lookups read them without a lock; all writes are made under the central lock, before the
//! span is entered in the arena index, or, of a span that a CPU owns, as `owned` says.

use core::mem::{offset_of, size_of};

use super::class::Scan;
use super::owned::Tag;
use crate::base::sparse::Entry;
use crate::base::sync::{AtomicU16, AtomicU32, CoreUsize as AtomicUsize, Ordering::Relaxed};
use crate::base::{PageIdx, PageRun, Shape};

/// Slots that a record has bits for.
pub(crate) const NARROW_SLOTS: usize = 256;
/// Slots that a wide record has bits for.
pub(crate) const WIDE_SLOTS: usize = NARROW_SLOTS + 1024;

pub(super) const WORD_BITS: usize = usize::BITS as usize;
pub(super) const NARROW_WORDS: usize = NARROW_SLOTS / WORD_BITS;
const MORE_WORDS: usize = (WIDE_SLOTS - NARROW_SLOTS) / WORD_BITS;

/// The kind of pages that a record describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No pages: the record is in the pool.
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
    /// The first page: its address where CPUs may own spans, else its number.
    pub(super) start: AtomicUsize,
    /// Pages of a large object; the link of a small span in an inbox.
    pub(super) pages: AtomicU32,
    /// 0 unused, 1 large, 2 + class; bit 8: a large object is being freed; bits 9 to 15, of the
    /// first record of a page of records: how many of them are in use; bit 16: wide; bit 17: the
    /// span's pages were zero when it was made; bit 18: it is scannable; bit 19: an object of it
    /// kept its place when it shrank; bit 20: it lies in a page of records; bits 21 and up: how
    /// many slots have their bits near.
    pub(super) kind: AtomicU32,
    pub(super) free_slots: AtomicU16,
    /// Slots from here on were never handed out; of a span that a CPU owns, a bit for each word of
    /// remote bits that is posted.
    pub(super) fresh_slot: AtomicU16,
    /// Of a span that a CPU owns, its tag; of a scannable one, which none owns, how far away the
    /// heap bitmap's bits of its first slots are.
    pub(super) tag: AtomicU32,
    pub(super) next: AtomicU32,
    pub(super) previous: AtomicU32,
    /// Filling: the bits end with the line, so that those of a wide record follow at once.
    spare: [AtomicU32; SPARE],
    pub(super) bits: [AtomicUsize; NARROW_WORDS],
}

const SPARE: usize = if usize::BITS == 64 { 0 } else { 1 };

const _: () = assert!(size_of::<Record>() == 64, "a record is one cache line");
const _: () = assert!(
    offset_of!(WideRecord, more)
        == offset_of!(Record, bits) + size_of::<[AtomicUsize; NARROW_WORDS]>(),
    "all bits of a wide record follow each other"
);

/// A record with room for more bits.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct WideRecord {
    pub(super) record: Record,
    pub(super) more: [AtomicUsize; MORE_WORDS],
}

// SAFETY: zero is an unused record; all fields are atomics.
unsafe impl Entry for Record {}

const KIND_MASK: u32 = 0xff;
const CLAIMED: u32 = 1 << 8;
/// One record in use, in the first record of a page of records.
const IN_USE: u32 = 1 << 9;
const IN_USE_MASK: u32 = 0xfe00;
const WIDE: u32 = 1 << 16;
pub(super) const ZEROED: u32 = 1 << 17;
const SCANNABLE: u32 = 1 << 18;
const LOOSE: u32 = 1 << 19;
const PAGED: u32 = 1 << 20;
/// The bits that say something of the record, and not of the span that it describes.
const OWN: u32 = IN_USE_MASK | WIDE | PAGED;

/// The most records in a page of records: as many as can be counted.
pub(super) const MOST_IN_PAGE: usize = (IN_USE_MASK / IN_USE) as usize;

impl Record {
    /// A record that describes nothing.
    pub(super) const fn unused() -> Self {
        Self {
            start: AtomicUsize::new(0),
            pages: AtomicU32::new(0),
            kind: AtomicU32::new(0),
            free_slots: AtomicU16::new(0),
            fresh_slot: AtomicU16::new(0),
            tag: AtomicU32::new(0),
            next: AtomicU32::new(0),
            previous: AtomicU32::new(0),
            spare: [const { AtomicU32::new(0) }; SPARE],
            bits: [const { AtomicUsize::new(0) }; NARROW_WORDS],
        }
    }

    /// The kind of pages that the record describes.
    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.kind.load(Relaxed))
    }

    /// Slots that are not taken.
    pub(crate) fn free_slots(&self) -> usize {
        usize::from(self.free_slots.load(Relaxed))
    }

    /// The tag of the span.
    #[inline(always)]
    pub(crate) fn tag(&self) -> Tag {
        Tag(self.tag.load(Relaxed))
    }

    /// The mask of the words of remote bits that are posted, of a span that a CPU owns.
    #[inline]
    pub(super) fn posted(&self) -> &AtomicU16 {
        &self.fresh_slot
    }

    /// The link to the next record in an inbox.
    #[inline]
    pub(super) fn link(&self) -> &AtomicU32 {
        &self.pages
    }

    /// Whether the record is part of a wide one.
    pub(crate) fn is_wide(&self) -> bool {
        is_wide(self.kind_word())
    }

    #[inline]
    pub(super) fn kind_word(&self) -> u32 {
        self.kind.load(Relaxed)
    }

    /// Marks a fresh record as part of a wide one.
    pub(super) fn mark_wide(&self) {
        self.kind.store(self.kind_word() | WIDE, Relaxed);
    }

    /// Marks a fresh record as one of a page of records.
    pub(super) fn mark_paged(&self) {
        self.kind.store(self.kind_word() | PAGED, Relaxed);
    }

    /// Whether the record is one of a page of records.
    pub(super) fn is_paged(&self) -> bool {
        self.kind_word() & PAGED != 0
    }

    /// Notes that one more record of the page, of which this one is the first, is in use, or one
    /// less. Returns how many are.
    pub(super) fn count_in_use(&self, more: bool) -> u32 {
        let word = self.kind_word();
        let counted = if more { word + IN_USE } else { word - IN_USE };
        self.kind.store(counted, Relaxed);
        (counted & IN_USE_MASK) / IN_USE
    }

    /// Makes the record describe `run`, with `slots` free slots. `zeroed` says that every page is
    /// zero.
    pub(crate) fn describe<S: Shape>(&self, kind: Kind, run: PageRun, slots: u16, zeroed: bool) {
        let number = match kind {
            Kind::Unused => 0,
            Kind::Large => 1,
            Kind::Small(class) => 2 + u32::from(class),
        };
        let own = self.kind.load(Relaxed) & OWN;
        self.start.store(start_of::<S>(run.first), Relaxed);
        self.set_pages(run.count);
        self.free_slots.store(slots, Relaxed);
        self.fresh_slot.store(0, Relaxed);
        self.kind
            .store(number | own | if zeroed { ZEROED } else { 0 }, Relaxed);
    }

    /// Marks the span, which was just described, as one whose objects may hold pointers or not.
    #[inline(always)]
    pub(crate) fn mark(&self, scan: Scan) {
        if scan.is_yes() {
            let kind = self.kind.load(Relaxed);
            self.kind.store(kind | SCANNABLE, Relaxed);
        }
    }

    /// Notes that an object of the span kept its place when it shrank. The caller holds the central
    /// lock.
    pub(crate) fn loosen(&self) {
        self.kind.store(self.kind_word() | LOOSE, Relaxed);
    }

    /// Notes that the span's large object is being freed. The caller holds the central lock.
    #[cfg(feature = "heap-bits")]
    pub(crate) fn claim(&self) {
        self.kind.store(self.kind_word() | CLAIMED, Relaxed);
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

/// The note of a record on a span that begins with `page`: the address, which frees by the owner
/// compare with, or the number, which is less code.
#[inline(always)]
fn start_of<S: Shape>(page: PageIdx) -> usize {
    if S::SCAVENGES {
        page.address::<S>().value()
    } else {
        page.0
    }
}

#[inline]
pub(super) fn kind_of(word: u32) -> Kind {
    // Classes are below 254, so that 2 + class fits a byte. Slots come first: most spans have them.
    match u8::try_from((word & KIND_MASK).wrapping_sub(2)) {
        Ok(class) => Kind::Small(class),
        Err(_) if word & KIND_MASK == 1 => Kind::Large,
        Err(_) => Kind::Unused,
    }
}

/// Whether objects of the span with this kind word may hold pointers.
#[inline(always)]
pub(super) const fn scan_of(word: u32) -> Scan {
    Scan::when(word & SCANNABLE != 0)
}

/// Whether an object of the span with this kind word kept its place when it shrank.
#[inline]
pub(super) const fn is_loose(word: u32) -> bool {
    word & LOOSE != 0
}

/// Whether the large object of the span with this kind word is being freed.
#[inline]
pub(super) const fn is_claimed(word: u32) -> bool {
    // Only scannable objects are claimed before they are freed.
    scan_of(word).is_yes() && word & CLAIMED != 0
}

/// Whether the record with this word of its kind is part of a wide one.
#[inline]
pub(super) const fn is_wide(word: u32) -> bool {
    word & WIDE != 0
}
