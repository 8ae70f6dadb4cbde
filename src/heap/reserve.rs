//! The reserve: Ready pages that only atomic requests may take.

use core::sync::atomic::Ordering;

use archipelago_api::{Kernel, Machine};

use super::runs::Want;
use super::{Heap, Opened, PageSide, certain};
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
    /// What takes a run off it, once the kernel has asked for one.
    take: Option<fn(&mut Self, Want) -> Option<PageIdx>>,
}

impl Reserve {
    /// A reserve of nothing.
    pub(super) const fn new() -> Self {
        Self {
            runs: [PageRun::new(PageIdx(0), 0); RUNS],
            goal: 0,
            take: None,
        }
    }

    /// Keeps `pages` pages from now on.
    fn keep(&mut self, pages: usize) {
        self.goal = pages;
        self.take = Some(Self::take_shortest);
    }

    /// Pages in the reserve.
    pub(super) fn pages(&self) -> usize {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// The runs that it is kept in.
    pub(super) fn runs(&self) -> impl Iterator<Item = PageRun> + '_ {
        self.runs.iter().copied().filter(|run| !run.is_empty())
    }

    /// Takes a run off the reserve.
    pub(super) fn take(&mut self, want: Want) -> Option<PageIdx> {
        (self.take?)(self, want)
    }

    /// Takes a run off the shortest that holds it.
    fn take_shortest(&mut self, want: Want) -> Option<PageIdx> {
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

    /// Undoes [`take`](Self::take), which left the rest of the run where it was.
    pub(super) fn put_back(&mut self, run: PageRun) {
        if let Some(rest) = self.runs.iter_mut().find(|rest| rest.first == run.end()) {
            *rest = PageRun::between(run.first, rest.end());
        }
    }

    /// Pages of the run that would fill the reserve; 0 if it is full. Where there is no slot for
    /// another run, this one has to stand in for the shortest too.
    fn missing(&self) -> usize {
        let missing = self.goal.saturating_sub(self.pages());
        let shortest = self.runs.iter().map(|run| run.count).min();
        if missing == 0 {
            0
        } else {
            missing + shortest.unwrap_or(0)
        }
    }

    /// Takes off what is above the goal, a run at a time.
    fn take_surplus(&mut self) -> Option<PageRun> {
        let surplus = self.pages().saturating_sub(self.goal);
        let run = self.runs.iter_mut().min_by_key(|run| match run.count {
            0 => usize::MAX,
            count => count,
        })?;
        let kept = run.count.saturating_sub(surplus);
        let gone = PageRun::between(run.first.plus(kept), run.end());
        run.count = kept;
        if gone.is_empty() { None } else { Some(gone) }
    }

    /// Adds a run; answers what has to go for it, the shortest, which may be that run itself.
    fn add(&mut self, run: PageRun) -> Option<PageRun> {
        let shortest = self.runs.iter_mut().min_by_key(|run| run.count)?;
        if shortest.count >= run.count {
            return Some(run);
        }
        let gone = core::mem::replace(shortest, run);
        if gone.is_empty() { None } else { Some(gone) }
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Keeps `pages` Ready pages, and as many span records of each kind, for atomic requests. The
    /// next ordinary allocation refills what they take. Pages above the goal become free.
    ///
    /// # Errors
    /// Which step refused: the reserve holds what could be had, and ordinary allocations go on
    /// filling it.
    pub fn set_reserve(&self, pages: usize) -> Result<(), Cause> {
        let Some(opened) = self.opened.get() else {
            return Err(Cause::NotInitialised);
        };
        self.refill.call_once(|| Self::try_to_fill_reserve);
        {
            let mut page = self.page.lock();
            page.reserve.keep(pages);
            while let Some(run) = page.reserve.take_surplus() {
                self.free_reserved(&mut page, run);
            }
        }
        self.central.lock().keep_records(pages);
        self.fill_reserve(opened)
    }

    /// Refills the reserve as far as memory allows, for a request that goes on without it.
    #[cold]
    pub(super) fn refill_reserve(&self, opened: &Opened<M>) {
        if let Some(refill) = self.refill.get() {
            refill(self, opened);
        }
    }

    fn try_to_fill_reserve(&self, opened: &Opened<M>) {
        self.fill_reserve(opened).ok();
    }

    /// Fills the reserve as far as memory allows. One that cannot be filled now is tried again by
    /// the next ordinary allocation.
    ///
    /// # Errors
    /// Which step refused.
    fn fill_reserve(&self, opened: &Opened<M>) -> Result<(), Cause> {
        self.reserve_low.store(false, Ordering::Relaxed);
        // Each for itself: pages serve although there is no memory for records, and the other way
        // round.
        let narrow = self.make_records(opened, RecordKind::Narrow);
        let pages = self.add_to_reserve(opened);
        let wide = self.make_records(opened, RecordKind::Wide);
        let filled = narrow.and(pages).and(wide);
        if filled.is_err() {
            self.reserve_low.store(true, Ordering::Relaxed);
        }
        filled
    }

    fn add_to_reserve(&self, opened: &Opened<M>) -> Result<(), Cause> {
        let mut pages = self.page.lock().reserve.missing();
        while pages > 0 {
            match self.obtain_ordinary(opened, Want::pages(pages)) {
                Ok(ready) => self.put_in_reserve(ready.run)?,
                // In pieces if it cannot be had whole.
                Err(_) if pages > 1 => pages = pages.div_ceil(2),
                Err(cause) => return Err(cause),
            }
            pages = pages.min(self.page.lock().reserve.missing());
        }
        Ok(())
    }

    /// Adds a run to the reserve.
    ///
    /// # Errors
    /// The reserve is in as many runs as it can be in, and none of them is shorter.
    fn put_in_reserve(&self, run: PageRun) -> Result<(), Cause> {
        let mut page = self.page.lock();
        self.ledger
            .transfer(Purpose::Objects, Purpose::Reserve, run.bytes::<M>());
        let Some(gone) = page.reserve.add(run) else {
            return Ok(());
        };
        self.free_reserved(&mut page, gone);
        if gone.count < run.count {
            return Ok(());
        }
        Err(Cause::Window {
            bytes: page.reserve.missing() << M::GEOMETRY.page_shift,
            largest: run.bytes::<M>(),
        })
    }

    /// Frees a run that was taken off the reserve.
    fn free_reserved(&self, page: &mut PageSide, run: PageRun) {
        self.ledger
            .transfer(Purpose::Reserve, Purpose::Free, run.bytes::<M>());
        let freed = self.pages.free(&mut page.pages, run);
        certain::<K, _, _>(freed, "the pages of the reserve are taken");
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Reserve {
    pub(super) fn plant(&mut self, run: PageRun) {
        self.add(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_put_back_where_it_was() {
        let mut reserve = Reserve::new();
        reserve.keep(9);
        for (first, pages) in [(100, 5), (200, 4)] {
            assert_eq!(reserve.add(PageRun::new(PageIdx(first), pages)), None);
        }
        // The rest of a run, and all of one.
        for pages in [3, 4, 5] {
            let before: [PageRun; RUNS] = reserve.runs;
            let first = reserve.take(Want::pages(pages)).expect("it is there");
            assert_eq!(reserve.pages(), 9 - pages);
            reserve.put_back(PageRun::new(first, pages));
            assert_eq!(reserve.runs, before);
        }
    }

    #[test]
    fn a_run_takes_the_place_of_a_shorter_one_alone() {
        let mut reserve = Reserve::new();
        for number in 0..RUNS {
            let run = PageRun::new(PageIdx(number * 100), 10);
            assert_eq!(reserve.add(run), None);
        }
        for pages in [4, 10] {
            let run = PageRun::new(PageIdx(5000), pages);
            assert_eq!(reserve.add(run), Some(run), "it would be of no use");
            assert_eq!(reserve.pages(), RUNS * 10);
        }
        let gone = reserve.add(PageRun::new(PageIdx(5000), 11));
        assert_eq!(gone.map(|run| run.count), Some(10));
        assert_eq!(reserve.pages(), RUNS * 10 + 1);
    }
}
