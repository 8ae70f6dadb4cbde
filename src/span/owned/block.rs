//! The block of a CPU: its spans by class.
//!
//! A block is touched by whoever has **entered** it, one at a time: [`CpuBlock::enter`] answers
//! with nothing while somebody is inside, an interrupted thread or another CPU, and the caller then
//! does without the block.

use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::compiler_fence;

use archipelago_api::{Machine, Reentry};

use super::super::class::ClassTable;
use super::super::record::{Record, WORD_BITS};
use super::super::records::Records;
use super::super::slots::SpanRef;
use super::atomics::{set_in_number, swap_flag};
use super::entry::ClassSpans;
use super::kept::Kept;
use super::map::{MapView, MappedSpan, SpanMap};
use super::places::{ENTRIES, ENTRY_BYTES, Place, remote_words};
use super::remote::{self, Inbox, Marked, RemoteFree};
use super::tag::{Owner, Tag};
use crate::arena::SpanHandle;
use crate::base::sparse;
use crate::base::sync::{AtomicU8, Ordering};

/// A block that nobody is inside of.
pub(super) const NOBODY: u8 = 0;
/// A block that somebody is inside of.
pub(super) const ENTERED: u8 = 1;
/// A block that another is inside of for its CPU, which is offline.
pub(super) const VISITED: u8 = 2;
/// A block that another has been inside of for its CPU, and that nobody has entered since.
pub(super) const LEFT: u8 = 3;
/// A block that another has drained so.
pub(super) const DRAINED: u8 = 4;

/// The block of a CPU. Zero is one without spans, to be set up.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CpuBlock {
    pub(super) entries: [ClassSpans; ENTRIES],
    /// The records of the spans that CPUs own, by page.
    pub(super) map: MapView,
    /// One of the states above.
    pub(super) inside: AtomicU8,
    pub(super) kept: Kept,
    pub(super) inbox: Inbox,
}

const _: () = assert!(
    size_of::<ClassSpans>() == ENTRY_BYTES && core::mem::offset_of!(CpuBlock, entries) == 0,
    "a place is the distance of an entry from the block"
);

// SAFETY: zero is valid for every field: numbers, and pointers that are not used before the entry
// is set up.
unsafe impl sparse::Entry for CpuBlock {}

// SAFETY: cells are touched by whoever has entered the block alone; the rest is atomics.
unsafe impl Sync for CpuBlock {}
// SAFETY: the pointers of entries lead to memory of the heap, wherever they are used.
unsafe impl Send for CpuBlock {}

/// A block that is no CPU's, and has no spans: in place of the block of the one CPU before that is
/// made, so that nobody has to look whether it was. It is entered as any other.
#[repr(C)]
struct Nobodys {
    entries: [ClassSpans; ENTRIES],
    zero: [Cell<usize>; NOBODYS_ZEROES],
}

const NOBODYS_ZEROES: usize =
    (size_of::<CpuBlock>() - size_of::<[ClassSpans; ENTRIES]>()) / size_of::<usize>();

// SAFETY: it is used as a block is, which can be shared.
unsafe impl Sync for Nobodys {}

static NOBODYS: Nobodys = Nobodys {
    entries: [const { ClassSpans::dry() }; ENTRIES],
    zero: [const { Cell::new(0) }; NOBODYS_ZEROES],
};

const _: () = assert!(
    size_of::<Nobodys>() == size_of::<CpuBlock>()
        && align_of::<Nobodys>() == align_of::<CpuBlock>(),
    "the block that is nobody's has the layout of a block"
);

/// Proof that the caller is the one who touches the block.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    pub(super) block: &'a CpuBlock,
    /// Whether the block's state says so.
    is_marked: bool,
    /// The block's state afterwards.
    left_as: u8,
}

/// An empty span that the block does not keep: it is nobody's now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a span of nobody's is lost"]
pub(crate) struct Emptied(pub(crate) SpanHandle);

impl CpuBlock {
    /// The block that is no CPU's. Zero is valid behind its entries, as for every block.
    pub(crate) const fn nobodys() -> NonNull<Self> {
        let block = &raw const NOBODYS;
        // SAFETY: a static has an address.
        unsafe { NonNull::new_unchecked(block.cast_mut().cast()) }
    }

    /// Makes fresh memory the block of `owner`.
    pub(crate) fn set_up(&self, owner: Owner, table: &ClassTable, map: Option<&'static SpanMap>) {
        self.map.set_up(map);
        for (number, entry) in (0..).zip(&self.entries) {
            let place = Place::numbered(number);
            entry.tag.set(Tag::new(owner, place.in_tag()).0);
            match place.class(table) {
                Some(class) if Place::of(table, class) == place => {
                    entry.set_up(
                        table.size_of_slot(class),
                        table.magic_of(class),
                        table.slots_of(class),
                        // No class has spans of more than `LONGEST` pages.
                        u16::try_from(table.pages(class)).unwrap_or(0),
                    );
                }
                _ => entry.set_up(0, 0, 0, 0),
            }
        }
    }

    /// Enters the block, unless somebody is inside, as only `reentry` lets happen.
    ///
    /// # Safety
    /// Unless threads may come between, the caller runs on the block's CPU.
    #[inline(always)]
    pub(crate) unsafe fn enter(&self, reentry: Reentry) -> Option<Entered<'_>> {
        if reentry.is_by_threads() {
            if swap_flag(&self.inside, ENTERED, Ordering::Acquire) == ENTERED {
                return None;
            }
        } else if reentry.is_by_handlers() {
            // A handler leaves the flag as it finds it, so nothing comes between these two.
            if self.inside.load(Ordering::Relaxed) != NOBODY {
                return None;
            }
            self.inside.store(ENTERED, Ordering::Relaxed);
            compiler_fence(Ordering::SeqCst);
        }
        // SAFETY: the caller has entered the block just now.
        Some(unsafe { self.entered(reentry) })
    }

    /// The entered block of a caller who has forgotten that he entered it.
    ///
    /// # Safety
    /// The caller entered the block and has not left it.
    #[inline(always)]
    pub(crate) unsafe fn entered(&self, reentry: Reentry) -> Entered<'_> {
        Entered {
            block: self,
            is_marked: reentry.is_by_threads() || reentry.is_by_handlers(),
            left_as: NOBODY,
        }
    }

    /// The block of a caller who has entered it from outside.
    pub(super) const fn visited(&self) -> Entered<'_> {
        Entered {
            block: self,
            is_marked: true,
            left_as: LEFT,
        }
    }

    /// Frees `slot` of a span of this block's CPU for another, who has the slot.
    ///
    /// # Safety
    /// The slot is the caller's, so that the span is in use; its record had the tag `tag`, of this
    /// block.
    pub(crate) unsafe fn free_remotely<M: Machine>(
        &self,
        records: Records<'_, M>,
        (span, tag): (SpanRef<'_>, Tag),
        slot: usize,
        slots: usize,
    ) -> RemoteFree {
        let word = slot / WORD_BITS;
        let words = (span.word(word), span.word(word + remote_words(slots)));
        // SAFETY: the caller's promise is the same.
        match unsafe { remote::mark((span.record, tag), slot, words) } {
            Marked::Done => RemoteFree::Done,
            Marked::Double => RemoteFree::Double,
            Marked::First => self.announce(records, (span.record, tag), slot),
        }
    }

    /// Marks `slot` of a span of `place`, which the map names, as freed by another.
    ///
    /// # Safety
    /// As for [`free_remotely`](Self::free_remotely).
    #[inline(always)]
    pub(crate) unsafe fn mark(
        &self,
        (span, tag): (MappedSpan, Tag),
        (place, slot): (Place, usize),
    ) -> Marked {
        let remote = slot / WORD_BITS + usize::from(self.entry(place).remote_words.get());
        // SAFETY: the slot is one of the span's, which is in use.
        let live = unsafe { span.word(slot) };
        // SAFETY: the record has bits for twice as many slots.
        let remote = unsafe { span.word(remote * WORD_BITS) };
        // SAFETY: the span is in use.
        let record = unsafe { span.record() };
        // SAFETY: the caller's promise is the same.
        unsafe { remote::mark((record, tag), slot, (live, remote)) }
    }

    /// Announces the word that has the bit of `slot` after this was [marked](Self::mark) as the
    /// first of the word.
    pub(crate) fn announce<M: Machine>(
        &self,
        records: Records<'_, M>,
        span: (&Record, Tag),
        slot: usize,
    ) -> RemoteFree {
        remote::announce(span, slot / WORD_BITS, |record| self.post(records, record))
    }

    /// The slot that begins `offset` bytes above the first of a span of `place`. Anybody may ask:
    /// the numbers of the class stay as they were when the block was set up.
    #[inline(always)]
    pub(crate) fn slot_at(&self, place: Place, offset: usize) -> Option<usize> {
        self.entry(place).slot_at(offset)
    }

    #[inline(always)]
    fn entry(&self, place: Place) -> &ClassSpans {
        let first = core::ptr::from_ref(&self.entries).cast::<ClassSpans>();
        // SAFETY: places are those of entries.
        let entry = unsafe { first.byte_add(place.bytes()) };
        // SAFETY: the entry lies in the block, which is borrowed as long.
        unsafe { &*entry }
    }

    /// Posts the word of remote bits that has the bit of `slot`, and is not empty, of a span of
    /// this block's CPU. The caller holds the central lock.
    pub(crate) fn post_word_of<M: Machine>(
        &self,
        records: Records<'_, M>,
        record: &Record,
        slot: usize,
    ) {
        set_in_number(&record.tag, Tag::REMOTE, Ordering::Release);
        remote::post_word(record, slot / WORD_BITS, |record| {
            self.post(records, record);
        });
    }

    #[cold]
    fn post<M: Machine>(&self, records: Records<'_, M>, record: &Record) {
        if let Some(handle) = records.handle(record) {
            self.inbox.post(record, handle.0.get());
        }
    }

    /// The map of the heap's owned spans, if there is one.
    pub(crate) fn map(&self) -> Option<&'static SpanMap> {
        self.map.map()
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.is_marked {
            self.block.inside.store(self.left_as, Ordering::Release);
        }
    }
}

impl<'a> Entered<'a> {
    #[inline(always)]
    pub(super) fn entry(&self, place: Place) -> &'a ClassSpans {
        self.block.entry(place)
    }

    /// Takes a slot of the current word.
    #[inline(always)]
    pub(crate) fn take(&self, place: Place) -> Option<NonNull<u8>> {
        self.entry(place).take()
    }

    /// Whether there is a span in the queue of `place`.
    #[inline(always)]
    pub(crate) fn has_next(&self, place: Place) -> bool {
        self.entry(place).first().is_some()
    }

    /// The block, which stays entered.
    #[inline(always)]
    pub(crate) fn stay(self) -> &'a CpuBlock {
        core::mem::ManuallyDrop::new(self).block
    }

    /// Whether the block is this one.
    pub(crate) fn is_of(&self, block: &CpuBlock) -> bool {
        core::ptr::eq(self.block, block)
    }

    /// The tag that spans of this block have in `place`.
    #[inline(always)]
    pub(crate) fn tag(&self, place: Place) -> Tag {
        Tag(self.entry(place).tag.get())
    }

    /// [`tag`](Self::tag), read again where the compiler would keep it in a register, which costs
    /// those an instruction who only compare it.
    #[inline(always)]
    pub(super) fn tag_again(&self, place: Place) -> Tag {
        let tag = self.entry(place).tag.as_ptr();
        // SAFETY: whoever has entered the block alone touches the entry.
        Tag(unsafe { tag.read_volatile() })
    }
}
