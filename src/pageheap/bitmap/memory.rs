//! Memory for the heap bitmap: pages of the heap where scannable spans are, given back where none
//! is.
//!
//! A run for scannable objects gets the bitmap that covers it once it is Ready: pages are allocated
//! like all others, and become parts inside the growth gate, where they are claimed for the run. If
//! one is refused, the run is free again. `arena/bitmap.rs` describes the protocol.

use core::mem::size_of;

use archipelago_api::{Kernel, Machine};

use super::super::run::{IdlePage, ReadyRun};
use crate::arena::ArenaIndex;
use crate::base::held::HeapNumber;
use crate::base::invariant::expect_invariant;
use crate::base::lock::{RankedLock, rank};
use crate::base::sparse::Zeroed;
use crate::base::sync::CoreUsize;
use crate::base::{PageIdx, PageRun};
use crate::region::metadata::MetadataSource;
use crate::region::token::Ready;
use crate::region::{Cause, Ledger, Need, Purpose, Windows};
use crate::span::Scan;

/// Pages whose bitmap is searched for idle parts at a time, with the lock held.
const SEARCHED_PAGES: usize = 512;

/// Pages whose bitmap is searched in one stay in the gate for a request that can do without what
/// is found.
const FEW_PAGES: usize = 64 * SEARCHED_PAGES;

/// The memory of the heap bitmap, by its own lock. Parts change owners under that lock alone.
#[derive(Debug)]
pub(crate) struct BitmapMemory<K> {
    counts: RankedLock<Counts, K, { rank::BITMAP }>,
}

/// The counts that the lock guards.
#[derive(Debug)]
struct Counts {
    /// Readers that have not left. While there are any, no part is taken back.
    readers: usize,
    /// Bytes of idle parts. A part can be claimed before the thread that made it has counted it, so
    /// the count is below zero in between and wraps.
    idle_bytes: usize,
    /// Every idle part covers a page from this one on; below the highest number by so many, so that
    /// nothing is known of a heap whose memory is zero.
    above_first_idle: usize,
}

impl Counts {
    /// Counts `bytes` bytes of parts that have become idle and cover no page below `first`.
    fn add_idle(&mut self, first: PageIdx, bytes: usize) {
        if bytes > 0 {
            self.idle_bytes = self.idle_bytes.wrapping_add(bytes);
            self.may_be_from(first);
        }
    }

    /// Counts `bytes` bytes of parts that are idle no more.
    fn remove_idle(&mut self, bytes: usize) {
        self.idle_bytes = self.idle_bytes.wrapping_sub(bytes);
    }

    /// Bytes of idle parts, none while there are fewer than that.
    const fn idle(&self) -> usize {
        if self.idle_bytes > usize::MAX / 2 {
            return 0;
        }
        self.idle_bytes
    }

    /// Notes that idle parts may cover pages from `first` on.
    fn may_be_from(&mut self, first: PageIdx) {
        self.above_first_idle = self.above_first_idle.max(!first.0);
    }

    /// Takes the page from which on idle parts are to be looked for.
    fn take_first_idle(&mut self) -> PageIdx {
        PageIdx(!core::mem::take(&mut self.above_first_idle))
    }
}

impl<K: Kernel> BitmapMemory<K> {
    /// A bitmap without parts.
    pub(in super::super) const fn new() -> Self {
        Self {
            counts: RankedLock::new(Counts {
                readers: 0,
                idle_bytes: 0,
                above_first_idle: 0,
            }),
        }
    }

    /// The lock is one of `heap`.
    #[inline(always)]
    pub(in super::super) fn join(&self, heap: HeapNumber) {
        self.counts.join(heap);
    }

    /// Counts a reader. No part is taken back before it leaves.
    pub(crate) fn enter(&self) {
        let mut counts = self.counts.lock();
        counts.readers = counts.readers.saturating_add(1);
    }

    /// Counts one reader less. If readers were forgotten until there were too many to count, there
    /// are readers for ever.
    pub(crate) fn leave(&self) {
        let mut counts = self.counts.lock();
        if counts.readers != usize::MAX {
            counts.readers -= 1;
        }
    }

    /// Takes the bitmap's lock: until the guard goes, no part changes owners.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.counts.lock()
    }

    /// Pages of the bitmap, needed or idle.
    pub(crate) fn pages<M: Machine>(&self, ledger: &Ledger) -> usize {
        let counts = self.counts.lock();
        let bytes = ledger.of(Purpose::HeapBits);
        bytes.wrapping_add(counts.idle_bytes) >> M::GEOMETRY.page_shift
    }

    /// Pages of idle parts that could be taken back now: none, while there are readers.
    pub(in super::super) fn loose_pages<M: Machine>(&self) -> usize {
        let counts = self.counts.lock();
        match counts.readers {
            0 => counts.idle() >> M::GEOMETRY.page_shift,
            _ => 0,
        }
    }

    /// Bytes of bitmap that are Ready and not needed.
    pub(crate) fn idle_bytes(&self) -> usize {
        self.counts.lock().idle()
    }

    /// The pages of `run`, grouped by the part that covers them.
    pub(in super::super) fn pieces<M: Machine>(run: PageRun) -> impl Iterator<Item = PageRun> {
        ArenaIndex::<M>::pieces(run)
    }

    /// Pages of the bitmap that covers `pages` pages, at least.
    pub(in super::super) const fn fewest_parts<M: Machine>(pages: usize) -> usize {
        pages.div_ceil(ArenaIndex::<M>::PART_PAGES)
    }

    /// The piece that the bitmap takes of the first metadata, and how often.
    pub(in super::super) const fn first_need<M: Machine>() -> (Need, usize) {
        (ArenaIndex::<M>::PARTS_NEED, !M::DECOMMITS as usize)
    }

    /// Makes the entries of the parts that cover `run`.
    ///
    /// # Errors
    /// Why there is no memory. What was made stays, for the next attempt.
    pub(in super::super) fn ensure<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        source: &mut MetadataSource<'_, M>,
        run: PageRun,
    ) -> Result<(), Cause> {
        index.ensure_bits(run, source)
    }

    /// Makes the part that covers `piece`, whose entry was ensured and which is absent, out of
    /// `page`. It is idle until it is claimed. The caller holds the growth gate.
    pub(in super::super) fn add<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        machine: &M,
        ledger: &Ledger,
        piece: PageRun,
        page: ReadyRun,
    ) {
        let (bytes, is_zeroed) = (ArenaIndex::<M>::PART_BYTES, page.is_zeroed());
        let start = machine.pointer(page.record().first.address::<M>());
        if !is_zeroed {
            // SAFETY: the page, whose token was used up just now, is Ready, and nothing uses it.
            unsafe { start.write_bytes(0, bytes) };
        }
        // SAFETY: `new` needs the units
        // - aligned: they begin with the page;
        // - Ready and zero: by the token, and as of just now; Ready until `take_idle`, which takes
        //   parts that have no reader;
        // - unshared: the token is used up.
        let memory = unsafe { Zeroed::new(start.cast(), bytes / size_of::<CoreUsize>()) };
        ledger.transfer(Purpose::Objects, Purpose::UnusedMetadata, bytes);
        index.put_part(piece, memory);
        self.counts.lock().add_idle(piece.first, bytes);
    }

    /// Whether the bitmap that covers `run` is Ready, or none is needed. It stays so while the
    /// caller holds the growth gate, or until somebody scavenges.
    pub(in super::super) fn covers<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        scan: Scan,
        run: PageRun,
    ) -> bool {
        !scan.is_yes() || index.has_bits(run)
    }

    /// Claims the bitmap that covers `run`, if one is needed; `false`, and nothing is changed, if
    /// not all of it is Ready.
    pub(in super::super) fn claim<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        ledger: &Ledger,
        scan: Scan,
        run: PageRun,
    ) -> bool {
        if !scan.is_yes() {
            return true;
        }
        let mut counts = self.counts.lock();
        let Some(bytes) = index.claim_bits(run) else {
            return false;
        };
        counts.remove_idle(bytes);
        ledger.transfer(Purpose::UnusedMetadata, Purpose::HeapBits, bytes);
        true
    }

    /// Gives up the claim on the bitmap that covers `run`, whose span is gone.
    ///
    /// # Safety
    /// No object is in the pages.
    pub(crate) unsafe fn release<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        ledger: &Ledger,
        scan: Scan,
        run: PageRun,
    ) {
        if !scan.is_yes() {
            return;
        }
        let mut counts = self.counts.lock();
        // SAFETY: the bitmap's lock is held, and the caller promises that there is no object.
        let bytes = unsafe { index.release_bits(run) };
        counts.add_idle(run.first, bytes);
        ledger.transfer(Purpose::HeapBits, Purpose::UnusedMetadata, bytes);
    }

    /// Takes back the first idle part that covers pages of `run`, if nobody reads bits. The caller
    /// holds the growth gate.
    fn take_idle<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        machine: &M,
        ledger: &Ledger,
        run: PageRun,
    ) -> Option<IdlePage> {
        let mut rest = run;
        while !rest.is_empty() {
            let few = PageRun::new(rest.first, rest.count.min(SEARCHED_PAGES));
            let mut counts = self.counts.lock();
            if counts.idle() == 0 || counts.readers > 0 {
                return None;
            }
            // SAFETY: the caller holds the growth gate, the bitmap's lock is held, and no reader is
            // counted.
            let part = unsafe { index.take_idle_part(few, machine) };
            let Some(part) = part else {
                rest = PageRun::between(few.end(), run.end());
                continue;
            };
            counts.remove_idle(ArenaIndex::<M>::PART_BYTES);
            drop(counts);
            let run = PageRun::inside::<M>(part.memory.record());
            let run = expect_invariant::<K, _, _>(run.ok_or(()), "a part lies in a page");
            ledger.transfer(
                Purpose::UnusedMetadata,
                Purpose::Objects,
                ArenaIndex::<M>::PART_BYTES,
            );
            // SAFETY: 1. the page was taken when it became the part's, is Ready, and was charged to
            // objects just now;
            // 2. the token of its memory was used up just now.
            let page = unsafe { ReadyRun::assume(run) };
            let covered = part.piece;
            return Some(IdlePage { covered, page });
        }
        None
    }

    /// Undoes [`take_idle`](Self::take_idle).
    pub(in super::super) fn put_back<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        ledger: &Ledger,
        idle: IdlePage,
    ) {
        let IdlePage { covered, page } = idle;
        let bytes = ArenaIndex::<M>::PART_BYTES;
        let range = page.record().range::<M>();
        let range = expect_invariant::<K, _, _>(range.ok_or(()), "a page of the heap has a range");
        // SAFETY: the page, whose token was used up just now, is Ready, and nothing names it.
        let memory = unsafe { Ready::assume(range) };
        ledger.transfer(Purpose::Objects, Purpose::UnusedMetadata, bytes);
        let mut counts = self.counts.lock();
        // SAFETY: the caller holds the growth gate, as for taking the part, whose memory this is.
        unsafe { index.put_part_back(covered, memory) };
        counts.add_idle(covered.first, bytes);
    }

    /// Takes back the lowest idle part that covers pages of the windows, if nobody reads bits, and
    /// for a `brief` search only if it is near. The caller holds the growth gate.
    ///
    /// Cost: the parts from the lowest one that became idle since the last call; a brief search
    /// looks at a constant number of them, and the next one goes on from there.
    pub(in super::super) fn take_lowest_idle<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        machine: &M,
        ledger: &Ledger,
        windows: &Windows,
        is_brief: bool,
    ) -> Option<IdlePage> {
        if self.loose_pages::<M>() == 0 {
            return None;
        }
        let mut counts = self.counts.lock();
        // Parts that become idle during the search lower it again.
        let from = counts.take_first_idle();
        drop(counts);
        let mut found = None;
        let mut left = if is_brief { FEW_PAGES } else { usize::MAX };
        let mut reached = from;
        'windows: for window in windows.all().iter() {
            if window.is_empty() {
                continue;
            }
            for arena in ArenaIndex::<M>::arenas_of(window) {
                if !index.has_parts(arena) {
                    continue;
                }
                let all = ArenaIndex::<M>::pages_of(arena);
                let mut rest = PageRun::between(all.first.max(from.min(all.end())), all.end());
                rest.count = rest.count.min(left);
                left -= rest.count;
                found = self.take_idle(index, machine, ledger, rest);
                reached = found.as_ref().map_or(rest.end(), |idle| idle.covered.first);
                if found.is_some() || left == 0 {
                    break 'windows;
                }
            }
        }
        let mut counts = self.counts.lock();
        if found.is_some() || left == 0 {
            counts.may_be_from(reached);
        } else if counts.idle() > 0 {
            // There was one, and it was claimed meanwhile or given back, or there is a reader.
            counts.may_be_from(from);
        }
        found
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl<K: Kernel> BitmapMemory<K> {
    pub(crate) fn plant_idle_bytes(&self, bytes: usize) {
        self.counts.lock().idle_bytes += bytes;
    }

    pub(crate) fn plant_readers(&self, readers: usize) {
        self.counts.lock().readers = readers;
    }
}
