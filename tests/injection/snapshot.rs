//! Snapshots of a heap and its machine, to be compared with earlier ones.

use archipelago::{Purpose, Stats, VirtAddr, VirtRange};
use archipelago_sim::{SimGeometry, State};

use crate::case::Case;

/// A snapshot of a heap and its machine in a quiet moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    stats: Account,
    chunks: Vec<Chunk>,
    spans: Vec<Span>,
    states: Vec<(VirtRange, State)>,
    /// Frames taken from the source and not returned.
    frames: usize,
    objects: usize,
    page_bytes: usize,
    /// Bytes of the heap bitmap that are needed, and the words that it says are pointers.
    #[cfg(feature = "heap-bits")]
    bits: (usize, Vec<VirtAddr>),
}

/// The numbers of [`Stats`], with the purposes in a list that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    mapped_ready: usize,
    prepared: usize,
    reserved: usize,
    /// Bytes by purpose, in the order of [`Purpose::ALL`].
    purposes: Vec<usize>,
    table_frames: usize,
    held_frames: usize,
    small_objects: usize,
    owned_pages: usize,
    free_pages: usize,
    scavenged_pages: usize,
    largest_free_run: usize,
    early_bytes: usize,
    metadata: usize,
}

impl Account {
    fn of(stats: Stats) -> Self {
        Self {
            mapped_ready: stats.mapped_ready,
            prepared: stats.prepared,
            reserved: stats.reserved,
            purposes: Purpose::ALL.iter().map(|one| stats.of(*one)).collect(),
            table_frames: stats.footprint.table_frames,
            held_frames: stats.footprint.held_frames,
            small_objects: stats.small_objects,
            owned_pages: stats.owned_pages,
            free_pages: stats.free_pages,
            scavenged_pages: stats.scavenged_pages,
            largest_free_run: stats.largest_free_run,
            early_bytes: stats.early_bytes,
            metadata: stats.metadata(),
        }
    }

    /// Bytes charged to `purpose`, to be read or changed.
    fn of_mut(&mut self, purpose: Purpose) -> &mut usize {
        &mut self.purposes[purpose as usize]
    }

    /// Bytes of address space in any state.
    fn addressed(&self) -> usize {
        self.mapped_ready + self.prepared + self.reserved
    }

    /// The part of the account that a refusal must not move.
    fn without_stock(&self) -> Self {
        let mut kept = self.clone();
        kept.mapped_ready = self.mapped_ready - self.metadata;
        kept.reserved = 0;
        kept.metadata = 0;
        kept.table_frames = 0;
        kept.held_frames = 0;
        for purpose in Purpose::ALL {
            if !matches!(
                purpose,
                Purpose::Objects | Purpose::Free | Purpose::Reserve | Purpose::Runs
            ) {
                *kept.of_mut(*purpose) = 0;
            }
        }
        kept
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    base: VirtAddr,
    pages: usize,
    used: usize,
    ready: usize,
    scavenged: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    base: VirtAddr,
    bytes: usize,
    class: Option<u8>,
    live: usize,
}

impl Snapshot {
    /// Takes a snapshot of `case`. Pages that the heap keeps for reuse are freed first, which needs
    /// no machine call, so that one heap always gives one snapshot.
    pub(crate) fn of<G: SimGeometry>(case: &Case<G>) -> Self {
        let machine = &case.rig.machine;
        let calls = machine.calls();
        let snapshot = Self::settled(case);
        assert_eq!(machine.calls(), calls, "a failure left work behind");
        snapshot
    }

    /// Takes a snapshot of `case` after the step that a busy machine left pending is undone, which
    /// the next machine call does.
    pub(crate) fn settled<G: SimGeometry>(case: &Case<G>) -> Self {
        let (heap, machine) = (&case.rig.heap, &case.rig.machine);
        assert_eq!(heap.scavenge(0), Ok(0), "nothing was asked for");
        let (mut chunks, mut spans) = (Vec::new(), Vec::new());
        heap.for_each_chunk(|chunk| {
            chunks.push(Chunk {
                base: chunk.base,
                pages: chunk.pages,
                used: chunk.used,
                ready: chunk.ready,
                scavenged: chunk.scavenged,
            });
        });
        heap.for_each_span(|span| {
            spans.push(Span {
                base: span.base,
                bytes: span.bytes,
                class: span.class,
                live: span.live,
            });
        });
        Self {
            stats: Account::of(heap.stats()),
            chunks,
            spans,
            states: machine.ranges(),
            frames: machine.frames_taken() - machine.frames_returned(),
            objects: case.objects(),
            page_bytes: G::GEOMETRY.page_bytes(),
            #[cfg(feature = "heap-bits")]
            bits: {
                let mut words = Vec::new();
                heap.for_each_pointer_word(|word| words.push(word));
                (heap.stats().of(Purpose::HeapBits), words)
            },
        }
    }

    /// `self` without the free pages that the heap grew by since `before`, and their number.
    fn without_growth(&self, before: &Self) -> (Self, usize) {
        let mut less = self.clone();
        let (page_bytes, mut all) = (self.page_bytes, 0);
        for chunk in &mut less.chunks {
            let old = before.chunks.iter().find(|old| old.base == chunk.base);
            let grown = chunk.pages - old.map_or(0, |old| old.pages);
            let scavenged = grown.min(chunk.scavenged);
            let ready = grown - scavenged;
            assert!(ready <= chunk.ready, "all of the growth is free");
            chunk.pages -= grown;
            chunk.scavenged -= scavenged;
            chunk.ready -= ready;
            less.stats.scavenged_pages -= scavenged;
            less.stats.prepared -= scavenged * page_bytes;
            less.stats.mapped_ready -= ready * page_bytes;
            *less.stats.of_mut(Purpose::Free) -= ready * page_bytes;
            all += grown;
        }
        less.chunks.retain(|chunk| chunk.pages > 0);
        less.stats.owned_pages -= all;
        less.stats.free_pages -= all;
        if all > 0 {
            less.stats.largest_free_run = before.stats.largest_free_run;
        }
        (less, all)
    }

    /// Panics unless `self` equals `before`, except for metadata in stock, which is Ready, charged,
    /// and backed by no more frames and page tables than it needs, and for pages that the heap grew
    /// by: one for a span record, or where it `may_grow` any number.
    ///
    /// The account has to agree with the machine on both: that is checked elsewhere.
    pub(crate) fn assert_only_stocked(&self, before: &Self, may_grow: bool) {
        assert_eq!(self.objects, before.objects, "objects");
        let (less, grown) = self.without_growth(before);
        assert!(grown <= 1 || may_grow, "{grown} pages stay");
        assert_eq!(less.chunks, before.chunks, "free pages and ranges");
        assert_eq!(self.spans, before.spans, "spans");
        #[cfg(feature = "heap-bits")]
        assert_eq!(self.bits, before.bits, "the heap bitmap");
        assert_eq!(
            less.stats.without_stock(),
            before.stats.without_stock(),
            "the account without stock"
        );
        assert_eq!(self.stats.addressed(), before.stats.addressed(), "windows");
        for (range, state) in &before.states {
            let stays = *state == State::Reserved || self.holds(*range, *state);
            assert!(stays, "{range} is not {state:?} any more");
        }
        let stocked = self.stats.metadata - before.stats.metadata;
        let tables = self.stats.table_frames - before.stats.table_frames;
        let has_need = stocked > 0 || grown > 0;
        assert!(has_need || tables == 0, "page tables for nothing");
    }

    /// Panics unless `self` equals `once`, the snapshot after the first such refusal, in every
    /// part.
    pub(crate) fn assert_no_more_than(&self, once: &Self) {
        assert_eq!(self, once, "a hundred refusals leave more than one");
    }

    /// Panics unless as much memory is Ready, and as many frames are taken, as `once`.
    pub(crate) fn assert_no_more_memory_than(&self, once: &Self) {
        let memory = |seen: &Self| (seen.stats.mapped_ready, seen.stats.prepared, seen.frames);
        assert_eq!(memory(self), memory(once), "a hundred refusals leave more");
    }

    /// A snapshot that does not tell free pages with memory from those without: a busy machine
    /// cannot take memory back, which then counts as free, and a request that lacks frames
    /// scavenges.
    pub(crate) fn with_free_pages_alike(&self) -> Self {
        let mut alike = self.clone();
        let free = core::mem::take(alike.stats.of_mut(Purpose::Free));
        alike.stats.mapped_ready -= free;
        alike.stats.prepared += free;
        alike.frames = 0;
        alike.stats.scavenged_pages = self.stats.free_pages;
        for chunk in &mut alike.chunks {
            chunk.scavenged += chunk.ready;
            chunk.ready = 0;
        }
        alike.states.retain(|(_, state)| *state == State::Reserved);
        alike
    }

    fn holds(&self, range: VirtRange, state: State) -> bool {
        self.states
            .iter()
            .any(|(whole, found)| *found == state && whole.contains_range(range))
    }
}
