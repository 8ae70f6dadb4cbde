//! The span map: from a page to the record of the CPU's span that holds it, in one load.
//!
//! The map is an array of pointers, one for each page from the first that the heap has. It is made
//! Ready from its beginning as the heap grows. A page behind its end, and one of no CPU's span, are
//! looked up in the arena index.

use core::cell::Cell;
use core::ptr::NonNull;

use archipelago_api::VirtAddr;

use super::super::record::{Record, WORD_BITS};
use crate::base::sparse::{Entry, Zeroed};
use crate::base::sync::{AtomicPtr, CoreUsize as AtomicUsize, Ordering};
use crate::base::{PageIdx, PageRun, Shape};

/// An entry of the map: the record of a CPU's span, or [`NOBODYS`].
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct MapEntry(AtomicPtr<Record>);

// SAFETY: null is a pointer; it is shared through an atomic, and needs no drop.
unsafe impl Entry for MapEntry {}

/// The record that pages of no CPU's span lead to: no CPU has its tag.
static NOBODYS: Record = Record::unused();

/// The map of a heap. Zero is one without entries.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct SpanMap {
    /// The address of the page of the first entry.
    start: AtomicUsize,
    entries: AtomicPtr<MapEntry>,
    /// Entries that are Ready.
    ready: AtomicUsize,
    /// Entries that there is address space for.
    most: AtomicUsize,
}

// SAFETY: zero is valid for every field, which are atomics and need no drop.
unsafe impl Entry for SpanMap {}

impl SpanMap {
    /// Places the map: `most` entries from `entries` on, none of them Ready, for the pages from
    /// the address `start` on.
    pub(crate) fn set_up(&self, start: VirtAddr, entries: NonNull<MapEntry>, most: usize) {
        self.start.store(start.value(), Ordering::Relaxed);
        self.entries.store(entries.as_ptr(), Ordering::Relaxed);
        self.most.store(most, Ordering::Relaxed);
    }

    /// The span that the map names for the page of `address`.
    #[inline(always)]
    pub(crate) fn find<S: Shape>(&self, address: VirtAddr) -> Option<MappedSpan> {
        let offset = address
            .value()
            .wrapping_sub(self.start.load(Ordering::Relaxed));
        let page = offset >> S::GEOMETRY.page_shift;
        if page >= self.ready.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the entry is Ready.
        let entry = unsafe { self.entries.load(Ordering::Relaxed).add(page) };
        // SAFETY: as above; entries are never exclusive.
        let record = unsafe { (*entry).0.load(Ordering::Relaxed) };
        // SAFETY: entries that are Ready name records.
        Some(MappedSpan(unsafe { NonNull::new_unchecked(record) }))
    }

    /// The entry that is to be made Ready next, and the number of entries that are not, for all
    /// pages up to the end of `run`; `None` if they are Ready, or there is no place for them.
    pub(crate) fn lacks<S: Shape>(&self, run: PageRun) -> Option<(NonNull<MapEntry>, usize)> {
        let start = VirtAddr::new(self.start.load(Ordering::Relaxed));
        let first = PageIdx::of::<S>(start)?;
        let needed = run.end().0.checked_sub(first.0)?;
        let ready = self.ready.load(Ordering::Relaxed);
        if needed <= ready || needed > self.most.load(Ordering::Relaxed) {
            return None;
        }
        Some((self.next()?, needed - ready))
    }

    /// The entry that is to be made Ready next.
    pub(crate) fn next(&self) -> Option<NonNull<MapEntry>> {
        let first = NonNull::new(self.entries.load(Ordering::Relaxed))?;
        // SAFETY: the entry is one of those that there is address space for, or the end.
        Some(unsafe { first.add(self.ready.load(Ordering::Relaxed)) })
    }

    /// Adds the entries in fresh memory, which begins where [`lacks`](Self::lacks) said. The caller
    /// is in the growth gate.
    pub(crate) fn extend(&self, memory: Zeroed<MapEntry>) {
        let more = memory.into_slice();
        for entry in more {
            entry
                .0
                .store((&raw const NOBODYS).cast_mut(), Ordering::Relaxed);
        }
        let ready = self.ready.load(Ordering::Relaxed);
        self.ready.store(ready + more.len(), Ordering::Release);
    }

    /// Bytes of the entries that are Ready.
    pub(crate) fn bytes(&self) -> usize {
        self.ready.load(Ordering::Relaxed) * size_of::<MapEntry>()
    }
}

/// The map as a CPU knows it. Touched by whoever has entered the CPU's block.
#[derive(Debug)]
#[repr(C)]
pub(super) struct MapView {
    start: Cell<usize>,
    /// Bytes of the pages whose entries are Ready.
    bytes: Cell<usize>,
    entries: Cell<*const MapEntry>,
    map: Cell<Option<&'static SpanMap>>,
}

impl MapView {
    /// Makes fresh memory a view of `map`.
    pub(super) fn set_up(&self, map: Option<&'static SpanMap>) {
        self.map.set(map);
        if let Some(map) = map {
            self.start.set(map.start.load(Ordering::Relaxed));
            self.entries.set(map.entries.load(Ordering::Relaxed));
        }
    }

    /// The map, which stays the one that the block was set up with.
    pub(super) fn map(&self) -> Option<&'static SpanMap> {
        self.map.get()
    }

    /// The span that the map names for the page of `address`.
    #[inline(always)]
    pub(super) fn find<S: Shape>(&self, address: VirtAddr) -> Option<MappedSpan> {
        let offset = address.value().wrapping_sub(self.start.get());
        if offset >= self.bytes.get() {
            return None;
        }
        // SAFETY: the entry is Ready.
        let entry = unsafe { self.entries.get().add(offset >> S::GEOMETRY.page_shift) };
        // SAFETY: as above; entries are never exclusive.
        let record = unsafe { (*entry).0.load(Ordering::Relaxed) };
        // SAFETY: entries that are Ready name records.
        Some(MappedSpan(unsafe { NonNull::new_unchecked(record) }))
    }

    /// Enters `record` for every page of `run`, of a span that becomes the CPU's.
    pub(super) fn enter<S: Shape>(&self, run: PageRun, record: NonNull<Record>) {
        self.set::<S>(run, record.as_ptr());
    }

    /// Clears the entries of `run`, of a span that is the CPU's no more.
    pub(super) fn clear<S: Shape>(&self, run: PageRun) {
        self.set::<S>(run, (&raw const NOBODYS).cast_mut());
    }

    fn set<S: Shape>(&self, run: PageRun, record: *mut Record) {
        let Some(map) = self.map.get() else {
            return;
        };
        let ready = map.ready.load(Ordering::Acquire);
        self.bytes.set(ready << S::GEOMETRY.page_shift);
        let first = run.first.address::<S>().value();
        let first = first.wrapping_sub(self.start.get()) >> S::GEOMETRY.page_shift;
        // Entries of pages below the first have numbers beyond all that are Ready.
        let end = first.saturating_add(run.count).min(ready);
        for number in first..end {
            // SAFETY: the entry is Ready.
            let entry = unsafe { self.entries.get().add(number) };
            // SAFETY: as above; entries are never exclusive.
            unsafe { (*entry).0.store(record, Ordering::Relaxed) };
        }
    }
}

/// A span that the map names, by its record.
///
/// Invariant: there is a record, which may be anybody's.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct MappedSpan(NonNull<Record>);

impl MappedSpan {
    /// The record.
    ///
    /// # Safety
    /// The record stays one as long as it is borrowed: the span is in use.
    #[inline(always)]
    pub(crate) unsafe fn record<'a>(self) -> &'a Record {
        // SAFETY: there is a record; its fields are atomics, and are shared.
        unsafe { self.0.as_ref() }
    }

    /// The word of live bits that has the bit of `slot`.
    ///
    /// # Safety
    /// - The record stays one as long as the word is borrowed.
    /// - The slot is one of the span's, or the one behind the last.
    #[inline(always)]
    pub(super) unsafe fn word<'a>(self, slot: usize) -> &'a AtomicUsize {
        let bits = core::mem::offset_of!(Record, bits);
        // SAFETY: the words of a record follow each other, those of a wide one, too, and have bits
        // for twice as many slots as the span has.
        let words = unsafe { self.0.byte_add(bits).cast::<AtomicUsize>() };
        // SAFETY: as above.
        let word = unsafe { words.add(slot / WORD_BITS) };
        // SAFETY: words are shared.
        unsafe { word.as_ref() }
    }
}
