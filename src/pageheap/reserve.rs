//! The reserve: Ready pages that only atomic requests may take.

use super::run::Want;
use crate::base::{PageIdx, PageRun};

/// The most runs that the reserve is in.
const RUNS: usize = 8;

/// Ready pages kept for atomic requests. Guarded by the page lock.
#[derive(Debug)]
pub(crate) struct Reserve {
    runs: [PageRun; RUNS],
    /// Pages that the kernel asked to keep.
    goal: usize,
    /// Takes a run off the reserve. There is no function before the kernel asks for a reserve, so
    /// that a kernel without one links none of this.
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
    pub(super) fn keep(&mut self, pages: usize) {
        self.goal = pages;
        self.take = Some(Self::take_shortest);
    }

    /// Pages that the kernel asked to keep.
    pub(super) const fn goal(&self) -> usize {
        self.goal
    }

    /// Pages in the reserve.
    pub(super) fn pages(&self) -> usize {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// The runs that the reserve is in.
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
    pub(super) fn missing(&self) -> usize {
        let missing = self.goal.saturating_sub(self.pages());
        let shortest = self.runs.iter().map(|run| run.count).min();
        if missing == 0 {
            0
        } else {
            missing + shortest.unwrap_or(0)
        }
    }

    /// Takes off pages above the goal, a run at a time.
    pub(super) fn take_surplus(&mut self) -> Option<PageRun> {
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

    /// Adds a run, and returns the run that has to go for it: the shortest, which may be the same.
    pub(super) fn add(&mut self, run: PageRun) -> Option<PageRun> {
        let shortest = self.runs.iter_mut().min_by_key(|run| run.count)?;
        if shortest.count >= run.count {
            return Some(run);
        }
        let gone = core::mem::replace(shortest, run);
        if gone.is_empty() { None } else { Some(gone) }
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Reserve {
    pub(crate) fn plant(&mut self, run: PageRun) {
        self.add(run);
    }

    pub(crate) fn plant_goal(&mut self, pages: usize) {
        self.goal = pages;
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
