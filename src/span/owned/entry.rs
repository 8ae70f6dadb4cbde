//! The entry of a class in a CPU's block: the word of live bits that slots are taken from, and the
//! spans that come after it.

use core::cell::Cell;
use core::num::{NonZeroU32, NonZeroUsize};
use core::ptr::NonNull;

use archipelago_api::Machine;

use super::super::list::RecordList;
use super::super::record::{Record, WORD_BITS};
use super::super::records::Records;
use super::credit::credit_of_full;
use super::places::remote_words;
use crate::arena::SpanHandle;
use crate::base::sync::{CoreUsize as AtomicUsize, Ordering::Relaxed};

/// A word without free slots, which a dry entry takes from.
pub(super) static DRY: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The spans of one class that a CPU owns. The CPU that has entered the block is the only one that
/// touches it.
///
/// # Invariants
/// 1. `word` is [`DRY`], or a word of live bits of the current span, which stays while the span is
///    owned.
/// 2. `base` is the first byte of the slot of that word's bit 0, and `full` the word's value when
///    every slot that has its bit there is live.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct ClassSpans {
    word: Cell<*const AtomicUsize>,
    full: Cell<usize>,
    base: Cell<*mut u8>,
    size: Cell<u32>,
    magic: Cell<u32>,
    /// The handle of the current span; 0 if there is none.
    pub(super) current: Cell<u32>,
    /// The spans that have free slots and are not current.
    queue: Cell<RecordList>,
    /// Slots of a span.
    pub(super) slots: Cell<u16>,
    /// The frees after which a full span comes into the queue.
    pub(super) full_credit: Cell<u16>,
    /// Pages of a span.
    pub(super) pages: Cell<u16>,
    /// The words of remote bits begin so many words after those of live bits.
    pub(super) remote_words: Cell<u16>,
    /// The tag of the spans.
    pub(super) tag: Cell<u32>,
    /// The value of a span's first word when every slot that has its bit there is live.
    first_full: Cell<usize>,
}

impl ClassSpans {
    /// An entry of no class, without spans.
    pub(super) const fn dry() -> Self {
        Self {
            word: Cell::new(&raw const DRY),
            full: Cell::new(usize::MAX),
            base: Cell::new(NonNull::dangling().as_ptr()),
            size: Cell::new(0),
            magic: Cell::new(0),
            current: Cell::new(0),
            queue: Cell::new(RecordList::EMPTY),
            slots: Cell::new(0),
            full_credit: Cell::new(0),
            pages: Cell::new(0),
            remote_words: Cell::new(0),
            tag: Cell::new(u32::MAX),
            first_full: Cell::new(usize::MAX),
        }
    }

    /// Makes the entry one of a class, and dry. Its memory is zero.
    pub(super) fn set_up(&self, size: u32, magic: u32, slots: u16, pages: u16) {
        self.size.set(size);
        self.magic.set(magic);
        self.slots.set(slots);
        self.pages.set(pages);
        self.full_credit.set(credit_of_full(slots));
        // A record has some twenty words.
        let words = u16::try_from(remote_words(usize::from(slots))).unwrap_or(0);
        self.remote_words.set(words);
        let in_word = usize::from(slots).clamp(1, WORD_BITS);
        self.first_full.set(usize::MAX >> (WORD_BITS - in_word));
        self.dry_up();
    }

    /// Leaves the entry without a word.
    pub(super) fn dry_up(&self) {
        self.word.set(&raw const DRY);
        self.full.set(usize::MAX);
        self.base.set(NonNull::dangling().as_ptr());
        self.current.set(0);
    }

    /// Takes slots from `word` from now on.
    ///
    /// # Safety
    /// The invariants hold.
    pub(super) unsafe fn take_from(&self, word: &AtomicUsize, full: usize, base: *mut u8) {
        self.word.set(word);
        self.full.set(full);
        self.base.set(base);
    }

    /// The current span.
    #[inline(always)]
    pub(super) fn current(&self) -> Option<SpanHandle> {
        NonZeroU32::new(self.current.get()).map(SpanHandle)
    }

    /// Whether the word has no free slot.
    #[inline(always)]
    pub(super) fn is_used_up(&self) -> bool {
        // SAFETY: the word is there, by the first invariant.
        let word = unsafe { &*self.word.get() };
        word.load(Relaxed) == self.full.get()
    }

    /// Whether the word has no live slot.
    #[inline(always)]
    pub(super) fn may_be_empty(&self) -> bool {
        // SAFETY: the word is there, by the first invariant.
        let word = unsafe { &*self.word.get() };
        word.load(Relaxed) == 0
    }

    /// Takes slots from the first word of `record` from now on.
    ///
    /// # Safety
    /// The record's span becomes the current one, and `start` is its first byte.
    #[inline(always)]
    pub(super) unsafe fn take_from_first(&self, record: &Record, start: NonNull<u8>) {
        let full = self.first_full.get();
        // SAFETY:
        // 1. the caller's promise is the same;
        // 2. the number is that of the first word.
        unsafe { self.take_from(&record.bits[0], full, start.as_ptr()) };
    }

    /// Whether slots are taken from this word.
    #[inline(always)]
    pub(super) fn takes_from(&self, word: &AtomicUsize) -> bool {
        core::ptr::eq(self.word.get(), word)
    }

    /// Takes the lowest free slot of the word.
    #[inline(always)]
    pub(super) fn take(&self) -> Option<NonNull<u8>> {
        // SAFETY: the word is there, by the first invariant.
        let word = unsafe { &*self.word.get() };
        let live = word.load(Relaxed);
        if live == self.full.get() {
            return None;
        }
        // Its lowest bit that is set is the lowest that is not set in the word.
        let next = live.wrapping_add(1);
        word.store(live | next, Relaxed);
        // SAFETY: a word with every bit set is full, whatever the slots.
        let next = unsafe { NonZeroUsize::new_unchecked(next) };
        let slot = next.trailing_zeros() as usize;
        let offset = slot * self.size.get() as usize;
        // SAFETY: the slot is one of the word's, whose slots lie in the span from the base on.
        let start = unsafe { self.base.get().add(offset) };
        // SAFETY: no span begins at address 0.
        Some(unsafe { NonNull::new_unchecked(start) })
    }

    /// The slot that begins `offset` bytes above the first of a span.
    #[inline(always)]
    pub(super) fn slot_at(&self, offset: usize) -> Option<usize> {
        let magic = self.magic.get();
        // Offsets in a span are below 2^32, and the low half of the product is below the magic
        // number where a slot begins alone.
        let product = (offset as u64).wrapping_mul(u64::from(magic));
        if product & u64::from(u32::MAX) >= u64::from(magic) {
            return None;
        }
        usize::try_from(product >> 32).ok()
    }

    /// The slot that has the byte `offset` bytes above the first one of a span.
    ///
    /// For an offset in the span, that is one of its slots, or the one behind the last, as
    /// [`ClassTable::slot_at`](super::super::class::ClassTable::slot_at) says.
    #[inline(always)]
    pub(super) fn slot_around(&self, offset: usize) -> usize {
        let product = (offset as u64).wrapping_mul(u64::from(self.magic.get()));
        usize::try_from(product >> 32).unwrap_or(usize::MAX)
    }

    /// The first span of the queue.
    #[inline]
    pub(super) fn first(&self) -> Option<SpanHandle> {
        self.queue.get().first()
    }

    /// Takes the first span off the queue.
    #[inline(always)]
    pub(super) fn pop<M: Machine>(&self, records: Records<'_, M>) -> Option<SpanHandle> {
        let mut queue = self.queue.get();
        let first = queue.pop(records);
        self.queue.set(queue);
        first
    }

    /// Puts a span in front of the queue.
    #[inline(always)]
    pub(super) fn push<M: Machine>(&self, records: Records<'_, M>, span: (SpanHandle, &Record)) {
        let mut queue = self.queue.get();
        queue.push(records, span);
        self.queue.set(queue);
    }

    /// Whether all slots of a span have their bits in one word.
    #[inline(always)]
    pub(super) fn has_one_word(&self) -> bool {
        usize::from(self.slots.get()) <= WORD_BITS
    }

    /// Changes the queue.
    #[inline]
    pub(super) fn queue_mut(&self, change: impl FnOnce(&mut RecordList)) {
        let mut queue = self.queue.get();
        change(&mut queue);
        self.queue.set(queue);
    }

    /// Bytes of a slot.
    pub(super) fn size(&self) -> usize {
        self.size.get() as usize
    }
}
