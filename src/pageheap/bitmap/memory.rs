//! Memory for the heap bitmap: Ready where scannable spans are, given back where none is.
//!
//! A run for scannable objects gets the bitmap that covers it before the run is published: the
//! bitmap is committed inside the growth gate, and claimed there once the run itself is Ready. So a
//! refusal of either leaves neither. `arena/bitmap.rs` describes the protocol.

use archipelago_api::{Busy, Kernel, Machine};

use crate::arena::ArenaIndex;
use crate::base::PageRun;
use crate::base::held::HeapNumber;
use crate::base::lock::{RankedLock, rank};
use crate::region::token::Refused;
use crate::region::{Cause, Ledger, Purpose, Space, Windows};
use crate::span::Scan;

/// Pages whose bitmap is searched for idle parts at a time, with the lock held.
const SEARCHED_PAGES: usize = 512;

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
    /// Bytes of idle parts. A part can be claimed before the thread that committed it has counted
    /// it, so the count is below zero in between and wraps.
    idle_bytes: usize,
}

impl<K: Kernel> BitmapMemory<K> {
    /// A bitmap without parts.
    pub(in super::super) const fn new() -> Self {
        Self {
            counts: RankedLock::new(Counts {
                readers: 0,
                idle_bytes: 0,
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

    /// Bytes of bitmap that are Ready and not needed.
    pub(crate) fn idle_bytes(&self) -> usize {
        self.counts.lock().idle_bytes
    }

    /// Commits the bitmap that covers `run`, for objects that may hold pointers. It is idle until
    /// it is claimed.
    ///
    /// # Errors
    /// What was committed stays idle: see [`give_back`](Self::give_back).
    pub(in super::super) fn commit<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        scan: Scan,
        run: PageRun,
    ) -> Result<(), Cause> {
        if !scan.is_yes() {
            return Ok(());
        }
        for piece in ArenaIndex::<M>::pieces(run) {
            let committed = index.commit_bits(piece, &mut windows.source(space))?;
            if committed > 0 {
                windows.leave_to_bitmap(ArenaIndex::<M>::PART_PAGES + 1);
                let mut counts = self.counts.lock();
                counts.idle_bytes = counts.idle_bytes.wrapping_add(committed);
            }
        }
        Ok(())
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
        counts.idle_bytes = counts.idle_bytes.wrapping_sub(bytes);
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
        counts.idle_bytes = counts.idle_bytes.wrapping_add(bytes);
        ledger.transfer(Purpose::HeapBits, Purpose::UnusedMetadata, bytes);
    }

    /// Undoes [`commit`](Self::commit): takes back the idle parts that cover `run`, as far as the
    /// machine is not busy.
    pub(in super::super) fn give_back<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        space: &Space<'_, M>,
        scan: Scan,
        run: PageRun,
    ) {
        if scan.is_yes() && M::DECOMMITS {
            // Where the machine is busy, idle parts stay for the next request, or to be scavenged.
            let _ = self.take_back(index, space, run, usize::MAX);
        }
    }

    /// Takes back up to `most` idle parts that cover pages of `run`, and returns how many.
    ///
    /// # Errors
    /// The machine is busy, before anything was taken back.
    fn take_back<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        space: &Space<'_, M>,
        run: PageRun,
        most: usize,
    ) -> Result<usize, Busy> {
        let (mut rest, mut done) = (run, 0);
        while done < most && !rest.is_empty() {
            let few = PageRun::new(rest.first, rest.count.min(SEARCHED_PAGES));
            let mut counts = self.counts.lock();
            if counts.idle_bytes == 0 || counts.readers > 0 {
                break;
            }
            // SAFETY: the space is that of the gate's holder, the bitmap's lock is held, and no
            // reader is counted.
            let part = unsafe { index.take_idle_part(few, space.machine()) };
            let Some(part) = part else {
                rest = PageRun::between(few.end(), run.end());
                continue;
            };
            let (covered, bytes) = (part.piece, ArenaIndex::<M>::PART_BYTES);
            counts.idle_bytes -= bytes;
            drop(counts);
            match space.withdraw(part.memory, Purpose::UnusedMetadata) {
                // The word that named the part still records its address space.
                Ok(reserved) => {
                    reserved.record();
                }
                Err(Refused { range, why }) => {
                    let mut counts = self.counts.lock();
                    // SAFETY: the space is that of the gate's holder, and the memory is that of the
                    // part which was taken above.
                    unsafe { index.put_part_back(covered, range) };
                    counts.idle_bytes += bytes;
                    return if done > 0 { Ok(done) } else { Err(why) };
                }
            }
            rest = PageRun::between(covered.end(), run.end());
            done += 1;
        }
        Ok(done)
    }

    /// Takes back up to `pages` idle parts, and returns how many. Parts are looked for in all pages
    /// of the windows: growth that was refused while the machine was busy leaves idle parts that
    /// cover pages which the heap does not own.
    ///
    /// # Errors
    /// [`Cause::Busy`], before anything was taken back.
    pub(in super::super) fn scavenge<M: Machine>(
        &self,
        index: &ArenaIndex<M>,
        space: &Space<'_, M>,
        windows: &Windows,
        pages: usize,
    ) -> Result<usize, Cause> {
        let mut done = 0;
        for window in windows.all().iter() {
            let arenas = ArenaIndex::<M>::arenas_of(window);
            for arena in arenas.filter(|arena| index.has_parts(*arena)) {
                if done == pages || self.idle_bytes() == 0 {
                    return Ok(done);
                }
                let all = ArenaIndex::<M>::pages_of(arena);
                match self.take_back(index, space, all, pages - done) {
                    Ok(count) => done += count,
                    Err(Busy) if done == 0 => return Err(Cause::Busy),
                    Err(Busy) => return Ok(done),
                }
            }
        }
        Ok(done)
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
