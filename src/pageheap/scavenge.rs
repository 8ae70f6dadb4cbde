//! Scavenging: memory of free pages goes back to the frame allocator.

use archipelago_api::{Kernel, Machine};

use super::page_heap::PageHeap;
use super::pool::Victim;
use crate::base::PageIdx;
use crate::region::token::{Ready, Refused};
use crate::region::{Cause, Purpose, Space, Windows};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Decommits up to `pages` free pages, idle heap bitmap first, then the highest address first,
    /// and returns how many.
    ///
    /// # Errors
    /// [`Cause::Busy`] if the machine is busy, before anything was decommitted.
    pub(super) fn scavenge_inside(
        &self,
        space: &Space<'_, M>,
        windows: &Windows,
        pages: usize,
    ) -> Result<usize, Cause> {
        if !M::DECOMMITS {
            return Ok(0);
        }
        let mut done = 0;
        while done < pages {
            let (machine, ledger) = (space.machine(), &self.ledger);
            let idle = self
                .bitmap
                .take_lowest_idle(&self.index, machine, ledger, windows, false);
            let Some(idle) = idle else {
                break;
            };
            if !self.drop_idle(space, idle) {
                return if done > 0 { Ok(done) } else { Err(Cause::Busy) };
            }
            done += 1;
        }
        let mut below = PageIdx((M::GEOMETRY.last_offset().value() >> M::GEOMETRY.page_shift) + 1);
        while done < pages {
            let Some(victim) = self.pool.take_victim(below, pages - done) else {
                break;
            };
            let run = victim.run();
            below = run.first;
            if !self.decommit(space, victim) {
                return if done > 0 { Ok(done) } else { Err(Cause::Busy) };
            }
            done += run.count;
        }
        Ok(done)
    }

    /// Decommits a victim and frees it; `false` if the machine is busy and the pages stay Ready.
    fn decommit(&self, space: &Space<'_, M>, victim: Victim) -> bool {
        let Some(range) = victim.run().range::<M>() else {
            self.pool.spare(victim);
            return false;
        };
        // SAFETY: the victim, whose token is held, is Ready, and nothing names or uses it.
        let ready = unsafe { Ready::assume(range) };
        match space.decommit(ready, Purpose::Free) {
            Ok(prepared) => {
                self.pool.free_scavenged(victim, prepared);
                true
            }
            Err(Refused { range, .. }) => {
                range.record();
                self.pool.spare(victim);
                false
            }
        }
    }

    /// Pages whose memory scavenging could give back.
    pub(super) fn scavengeable_pages(&self) -> usize {
        (self.ledger.of(Purpose::Free) + self.bitmap.idle_bytes()) >> M::GEOMETRY.page_shift
    }
}
