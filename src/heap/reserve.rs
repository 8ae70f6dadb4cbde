//! The reserve: Ready pages that only atomic requests may take.

use core::sync::atomic::Ordering;

use archipelago_api::{Kernel, Machine};

use super::runs::Want;
use super::{Heap, Opened, certain};
use crate::base::{PageIdx, PageRun};
use crate::region::{Cause, Purpose};
use crate::span::RecordKind;

/// Runs that the reserve is kept in at most.
const RUNS: usize = 8;

/// Ready pages kept for atomic requests. Guarded by the page lock.
#[derive(Debug)]
pub(super) struct Reserve {
    runs: [PageRun; RUNS],
    /// Pages that the kernel asked for.
    goal: usize,
}

impl Reserve {
    /// A reserve of nothing.
    pub(super) const fn new() -> Self {
        Self {
            runs: [PageRun::new(PageIdx(0), 0); RUNS],
            goal: 0,
        }
    }

    /// Pages in the reserve.
    pub(super) fn pages(&self) -> usize {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// The runs that it is kept in.
    pub(super) fn runs(&self) -> impl Iterator<Item = PageRun> + '_ {
        self.runs.iter().copied().filter(|run| !run.is_empty())
    }

    /// Takes a run off the reserve: from the shortest that holds it.
    pub(super) fn take(&mut self, want: Want) -> Option<PageIdx> {
        let fits = |run: &&mut PageRun| run.count >= want.pages && want.starts_at(run.first);
        let run = self
            .runs
            .iter_mut()
            .filter(fits)
            .min_by_key(|run| run.count)?;
        let first = run.first;
        *run = PageRun::between(first.plus(want.pages), run.end());
        Some(first)
    }

    /// Pages that are missing.
    fn missing(&self) -> usize {
        self.goal.saturating_sub(self.pages())
    }

    /// Adds a run; answers what has to go for it, the shortest.
    fn add(&mut self, run: PageRun) -> Option<PageRun> {
        let shortest = self.runs.iter_mut().min_by_key(|run| run.count)?;
        let gone = core::mem::replace(shortest, run);
        if gone.is_empty() { None } else { Some(gone) }
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Keeps `pages` Ready pages, and as many span records, for atomic requests. The next ordinary allocation
    /// refills what they take.
    ///
    /// # Errors
    /// Which step refused: the reserve holds what could be had, and ordinary allocations go on filling it.
    pub fn set_reserve(&self, pages: usize) -> Result<(), Cause> {
        let Some(opened) = self.opened.get() else {
            return Err(Cause::NotInitialised);
        };
        self.page.lock().reserve.goal = pages;
        self.central.lock().keep_records(pages);
        self.fill_reserve(opened)
    }

    /// Refills the reserve as far as memory allows.
    #[cold]
    pub(super) fn refill_reserve(&self, opened: &Opened<M>) {
        // A reserve that cannot be filled now is tried again by the next ordinary allocation.
        let filled = self.fill_reserve(opened);
        self.reserve_low.store(filled.is_err(), Ordering::Relaxed);
    }

    fn fill_reserve(&self, opened: &Opened<M>) -> Result<(), Cause> {
        self.reserve_low.store(false, Ordering::Relaxed);
        self.make_records(opened, RecordKind::Narrow)?;
        self.make_records(opened, RecordKind::Wide)?;
        let mut pages = self.page.lock().reserve.missing();
        while pages > 0 {
            match self.obtain_ordinary(opened, Want::pages(pages)) {
                Ok(ready) => self.put_in_reserve(ready.run),
                // In pieces if it cannot be had whole.
                Err(_) if pages > 1 => pages = pages.div_ceil(2),
                Err(cause) => {
                    self.reserve_low.store(true, Ordering::Relaxed);
                    return Err(cause);
                }
            }
            pages = pages.min(self.page.lock().reserve.missing());
        }
        Ok(())
    }

    fn put_in_reserve(&self, run: PageRun) {
        let mut page = self.page.lock();
        let page = &mut *page;
        self.ledger
            .transfer(Purpose::Objects, Purpose::Reserve, run.bytes::<M>());
        if let Some(gone) = page.reserve.add(run) {
            self.ledger
                .transfer(Purpose::Reserve, Purpose::Free, gone.bytes::<M>());
            let freed = self.pages.free(&mut page.pages, gone);
            certain::<K, _, _>(freed, "the pages of the reserve are taken");
        }
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Reserve {
    pub(super) fn plant(&mut self, run: PageRun) {
        self.add(run);
    }
}
