//! Statistics: numbers that add up.

use core::fmt;

use archipelago_api::{Footprint, Kernel, Machine};

use super::walk::free_owned_slots;
use crate::heap::{Heap, Pages};
use crate::pageheap::Online;
use crate::region::Purpose;
use crate::span::{Kind, SPAN_CLASSES};

/// A snapshot of the account. In a quiet moment the purposes add up to `mapped_ready`, and
/// `mapped_ready` in granules, page-table frames and held frames to what the frame allocator has
/// given and not got back.
///
/// Where memory is not given back ([`Machine::DECOMMITS`]), nothing is Prepared or scavenged, and
/// there are neither page tables nor frames: `Display` and `Debug` leave them out, and call what is
/// Reserved memory that is not taken yet.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes Ready, metadata included.
    pub mapped_ready: usize,
    /// Bytes Prepared.
    pub prepared: usize,
    /// Bytes Reserved.
    pub reserved: usize,
    /// Ready bytes by purpose: see [`of`](Self::of).
    by_purpose: [usize; Purpose::ALL.len()],
    /// Frames that the machine holds beside Ready memory.
    pub footprint: Footprint,
    /// The most bytes that were Ready at once.
    pub peak_ready: usize,
    /// Live objects in slots of spans.
    pub small_objects: usize,
    /// Live objects that have a run of pages each.
    pub large_objects: usize,
    /// Bytes of all live objects, as they were handed out: slots and whole pages. With free slots,
    /// and with the ends of spans that hold no slot, they are [`Purpose::Objects`].
    pub live_bytes: usize,
    /// Requests for memory that got an error since the heap is there, those to change a size
    /// included.
    pub refusals: usize,
    /// Pages that the heap owns, Ready or scavenged.
    pub owned_pages: usize,
    /// Free pages, Ready or scavenged.
    pub free_pages: usize,
    /// Pages that hold span records, which are charged to [`Purpose::Spans`].
    pub record_pages: usize,
    /// Pages of the heap bitmap, which are charged to [`Purpose::HeapBits`] if they are needed and
    /// to [`Purpose::UnusedMetadata`] if not. 0 without the feature `heap-bits`.
    pub bitmap_pages: usize,
    /// Free pages without memory.
    pub scavenged_pages: usize,
    /// Pages of the longest free run.
    pub largest_free_run: usize,
    /// Bytes of the static early region, which belong to the image and to none of the above.
    pub early_bytes: usize,
    /// Whether memory comes in frames, which are given back.
    has_frames: bool,
}

impl Stats {
    /// Ready bytes charged to `purpose`.
    #[must_use]
    pub const fn of(&self, purpose: Purpose) -> usize {
        self.by_purpose[purpose as usize]
    }

    /// Ready bytes of all purposes together.
    #[must_use]
    pub fn sum(&self) -> usize {
        self.by_purpose.iter().sum()
    }

    /// Bytes of the windows that are not Ready: memory, where memory is not given back.
    const fn not_taken(&self) -> usize {
        self.prepared + self.reserved
    }

    /// Ready bytes of metadata: all that are neither in spans, nor free, nor in the reserve, nor in
    /// runs of the kernel.
    #[must_use]
    pub fn metadata(&self) -> usize {
        let pages = [
            Purpose::Objects,
            Purpose::Free,
            Purpose::Reserve,
            Purpose::Runs,
        ];
        self.sum() - pages.iter().map(|purpose| self.of(*purpose)).sum::<usize>()
    }
}

/// A snapshot of the pages of a heap, in pages. In a quiet moment the owned pages are those that
/// are free, in spans, in the reserve, in runs, and those that hold span records or heap bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageStats {
    /// Pages that the heap owns.
    pub owned: usize,
    /// Free pages, Ready or scavenged.
    pub free: usize,
    /// Free pages without memory.
    pub scavenged: usize,
    /// Pages of the longest free run.
    pub largest_free_run: usize,
    /// Pages in spans: of objects, and of the slots beside them.
    pub spans: usize,
    /// Pages kept for atomic requests.
    pub reserve: usize,
    /// Pages in runs of the kernel.
    pub runs: usize,
    /// Pages that hold span records.
    pub records: usize,
    /// Pages of the heap bitmap. 0 without the feature `heap-bits`.
    pub bitmap: usize,
    /// The most bytes that may be Ready; `usize::MAX` means no limit.
    pub limit_bytes: usize,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>14} bytes ready", self.mapped_ready)?;
        for purpose in Purpose::ALL {
            writeln!(f, "{:>14}   {}", self.of(*purpose), purpose.name())?;
        }
        writeln!(f, "{:>14} bytes ready at most", self.peak_ready)?;
        let objects = self.small_objects + self.large_objects;
        writeln!(f, "{:>14} bytes in {objects} live objects", self.live_bytes)?;
        writeln!(f, "{:>14} requests refused", self.refusals)?;
        if !self.has_frames {
            return write!(f, "{:>14} bytes not taken yet", self.not_taken());
        }
        writeln!(f, "{:>14} bytes prepared", self.prepared)?;
        writeln!(f, "{:>14} bytes reserved", self.reserved)?;
        writeln!(f, "{:>14} page-table frames", self.footprint.table_frames)?;
        write!(f, "{:>14} frames held", self.footprint.held_frames)
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Stats");
        all.field("mapped_ready", &self.mapped_ready);
        if self.has_frames {
            all.field("prepared", &self.prepared);
            all.field("reserved", &self.reserved);
            all.field("footprint", &self.footprint);
            all.field("scavenged_pages", &self.scavenged_pages);
        } else {
            all.field("not_taken", &self.not_taken());
        }
        all.field("by_purpose", &self.by_purpose);
        all.field("peak_ready", &self.peak_ready);
        all.field("small_objects", &self.small_objects);
        all.field("large_objects", &self.large_objects);
        all.field("live_bytes", &self.live_bytes);
        all.field("refusals", &self.refusals);
        all.field("owned_pages", &self.owned_pages);
        all.field("free_pages", &self.free_pages);
        all.field("record_pages", &self.record_pages);
        all.field("bitmap_pages", &self.bitmap_pages);
        all.field("largest_free_run", &self.largest_free_run);
        all.field("early_bytes", &self.early_bytes).finish()
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// The account as it is now. Other CPUs may move it between two of its numbers.
    ///
    /// # Locks
    /// Takes central once for each size class, then page. The machine is asked for its footprint
    /// before that.
    /// # Cost
    /// A step for each span that has free slots: those of one class under one section of central.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let online = self.pages.online();
        let footprint = online.map(|online| online.machine.footprint());
        let (free_slots, free_bytes) = online.map_or((0, 0), |online| free_slots(self, online));
        let lists = self.central.lock();
        let (counts, record_pages) = (lists.counts(), lists.record_pages());
        drop(lists);
        let ledger = self.pages.ledger();
        let bitmap_pages = self.pages.bitmap().pages::<M>(ledger);
        let mut by_purpose = [0; Purpose::ALL.len()];
        for (bytes, purpose) in by_purpose.iter_mut().zip(Purpose::ALL) {
            *bytes = ledger.of(*purpose);
        }
        let pool = self.pages.pool().hold();
        let (pages, state) = pool.pages();
        Stats {
            mapped_ready: ledger.mapped_ready(),
            prepared: ledger.prepared(),
            reserved: ledger.reserved(),
            by_purpose,
            footprint: footprint.unwrap_or_default(),
            peak_ready: ledger.peak_ready(),
            small_objects: counts.slots.saturating_sub(free_slots),
            large_objects: counts.large_objects,
            live_bytes: ledger
                .of(Purpose::Objects)
                .saturating_sub(counts.tail_bytes)
                .saturating_sub(free_bytes),
            refusals: counts.refusals,
            owned_pages: pool.owned().total_pages(),
            free_pages: pool.free_pages(),
            record_pages,
            bitmap_pages,
            scavenged_pages: pool.scavenged_pages(),
            largest_free_run: pages.largest_run(state),
            early_bytes: self.early.bytes(),
            has_frames: M::DECOMMITS,
        }
    }
}

/// Free slots of all spans, and their bytes.
fn free_slots<M: Machine, K: Kernel>(heap: &Heap<M, K>, online: &Online<M>) -> (usize, usize) {
    let (mut slots, mut bytes) = free_owned_slots(heap, online);
    for class in 0..SPAN_CLASSES {
        let lists = heap.central.lock();
        lists.for_each(online.records(), class, usize::MAX, |handle, _| {
            let record = online.records().get(handle).record;
            if let Kind::Small(number) = record.kind() {
                let class = Heap::<M, K>::TABLE.class(number);
                slots += record.free_slots();
                bytes += class.map_or(0, |class| {
                    Heap::<M, K>::TABLE.size(class) * record.free_slots()
                });
            }
            true
        });
    }
    (slots, bytes)
}

impl<M: Machine, K: Kernel> Pages<'_, M, K> {
    /// The account of the pages as it is now. Other CPUs may move it between two of its numbers.
    ///
    /// # Locks
    /// Takes central for one load, then page.
    #[must_use]
    pub fn stats(&self) -> PageStats {
        let records = self.heap.central.lock().record_pages();
        let ledger = self.heap.pages.ledger();
        let bitmap = self.heap.pages.bitmap().pages::<M>(ledger);
        let pages = |purpose| ledger.of(purpose) >> M::GEOMETRY.page_shift;
        let pool = self.heap.pages.pool().hold();
        let (free, state) = pool.pages();
        PageStats {
            owned: pool.owned().total_pages(),
            free: pool.free_pages(),
            scavenged: pool.scavenged_pages(),
            largest_free_run: free.largest_run(state),
            spans: pages(Purpose::Objects),
            reserve: pages(Purpose::Reserve),
            runs: pages(Purpose::Runs),
            records,
            bitmap,
            limit_bytes: ledger.limit(),
        }
    }
}
