//! Scavenging: memory behind free pages goes back to the frame source when the kernel asks for it.

use archipelago_api::{Kernel, Machine};

use super::growth::Growth;
use super::{Heap, Opened, certain};
use crate::base::{PageIdx, PageRun};
use crate::region::{Cause, Purpose, Space};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Decommits up to `pages` free pages, highest address first, and answers how many: none on a
    /// machine whose memory serves nobody else ([`Machine::DECOMMITS`]). With the feature
    /// `heap-bits`, pages of the heap bitmap that nobody needs any more count as free pages, and go
    /// first. The kernel decides on which thread and when; behind its back, pages are scavenged only
    /// where a request would be refused without their memory.
    ///
    /// # Errors
    /// [`Cause::Busy`] if the machine is in use and interrupts are masked, before anything was
    /// decommitted.
    /// # Locks
    /// The growth gate, throughout; central and page, briefly for every run.
    /// # Cost
    /// A search and a call of the machine for every run of free pages that are Ready.
    pub fn scavenge(&self, pages: usize) -> Result<usize, Cause> {
        let Some(opened) = self.opened.get() else {
            return Ok(0);
        };
        self.with_machine(opened, |space, growth| {
            self.scavenge_within(opened, space, growth, pages)
        })
    }

    /// Scavenges as many free pages as `cause`, a refusal, says were missing; `false` if there are
    /// not so many, or the machine has become busy.
    #[cold]
    pub(super) fn make_up_for(
        &self,
        opened: &Opened<M>,
        space: &Space<'_, M>,
        growth: &Growth,
        cause: Cause,
    ) -> bool {
        let missing = cause.missing_bytes(M::GEOMETRY.granule_bytes());
        let pages = missing.div_ceil(M::GEOMETRY.page_bytes());
        if pages == 0 {
            return false;
        }
        self.return_what_is_kept(opened);
        let spare = (self.ledger.of(Purpose::Free) + self.idle_bits()) >> M::GEOMETRY.page_shift;
        let done = if pages > spare {
            Ok(0)
        } else {
            self.scavenge_within(opened, space, growth, pages)
        };
        done.is_ok_and(|done| done > 0)
    }

    fn scavenge_within(
        &self,
        opened: &Opened<M>,
        space: &Space<'_, M>,
        growth: &Growth,
        pages: usize,
    ) -> Result<usize, Cause> {
        self.return_what_is_kept(opened);
        if !M::DECOMMITS {
            return Ok(0);
        }
        let mut done = self.scavenge_bits(space, growth, pages)?;
        let mut below = PageIdx((M::GEOMETRY.last_offset().value() >> M::GEOMETRY.page_shift) + 1);
        while done < pages {
            let Some(run) = self.take_highest_ready(below, pages - done) else {
                break;
            };
            below = run.first;
            if !self.decommit_taken(space, run) {
                return if done > 0 { Ok(done) } else { Err(Cause::Busy) };
            }
            done += run.count;
        }
        Ok(done)
    }

    /// Takes the highest run of free pages below `below` that are Ready, so that nobody can use it
    /// meanwhile.
    fn take_highest_ready(&self, below: PageIdx, most: usize) -> Option<PageRun> {
        let mut page = self.page.lock();
        let run = self.pages.highest_ready(&mut page.pages, below, most)?;
        let taken = self.pages.take(&mut page.pages, run);
        certain::<K, _, _>(taken.ok_or(()), "free pages that are ready are free");
        Some(run)
    }

    /// Decommits a run that is taken, and frees it; `false` if the machine is busy, and it was
    /// freed Ready.
    fn decommit_taken(&self, space: &Space<'_, M>, run: PageRun) -> bool {
        let range = run.range::<M>();
        let done = range.is_some_and(|range| space.decommit(range, Purpose::Free).is_ok());
        let mut page = self.page.lock();
        if done {
            let marked = self.pages.set_scavenged(&mut page.pages, run);
            certain::<K, _, _>(marked, "a run in transit is taken");
        }
        let freed = self.pages.free(&mut page.pages, run);
        certain::<K, _, _>(freed, "a run in transit is taken");
        done
    }
}
