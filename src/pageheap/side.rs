//! The state that the page lock guards: free pages, the reserve, and what is known to be zero.

use super::reserve::Reserve;
use crate::base::{PageIdx, PageRun};
use crate::page::{State, Taken};

/// The state that the page lock guards.
#[derive(Debug)]
pub(super) struct Side {
    /// The free pages.
    pub(super) pages: State,
    /// The reserve.
    pub(super) reserve: Reserve,
    /// Pages that were made Ready ahead, of memory that was zero, and have been free since.
    clear: PageRun,
}

impl Side {
    /// No pages.
    const NONE: PageRun = PageRun::new(PageIdx(0), 0);

    /// The state of a heap without pages.
    pub(super) const fn new() -> Self {
        Self {
            pages: State::new(),
            reserve: Reserve::new(),
            clear: Self::NONE,
        }
    }

    /// Notes that the pages of `run` were made Ready ahead, are zero, and are free now.
    pub(super) fn note_clear(&mut self, run: PageRun) {
        self.clear = run;
    }

    /// How many of the first pages of a run that was taken may hold others than zeroes once those
    /// that lack memory get such that is zero. `lacking` counts pages of the run that lack memory.
    #[inline]
    pub(super) fn take_clear(
        &mut self,
        taken: Taken,
        lacking: impl FnOnce(PageRun) -> usize,
    ) -> usize {
        let run = taken.run;
        if !self.clear.overlaps(run) {
            return run.count;
        }
        let first = self.clear.first.max(run.first);
        let end = self.clear.end().min(run.end());
        self.clear = PageRun::between(end, self.clear.end());
        let below = PageRun::between(run.first, first);
        let others = run.count - taken.scavenged - (end.0 - first.0);
        // The others that have memory are all pages below, or it is not known where they are.
        if below.count == others && (others == 0 || lacking(below) == 0) {
            others
        } else {
            run.count
        }
    }

    /// Notes that pages were taken which may be known to be zero.
    pub(super) fn forget_clear(&mut self, run: PageRun) {
        if self.clear.overlaps(run) {
            self.clear = Self::NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PageIdx, PageRun, Side, Taken};

    fn run(first: usize, count: usize) -> PageRun {
        PageRun::new(PageIdx(first), count)
    }

    #[test]
    fn pages_above_those_that_may_hold_something_are_known_to_be_zero() {
        // The run, how many of its pages lack memory, how many may hold something, what is left.
        for (taken, scavenged, unclear, left) in [
            // Pages 10 to 17 are known to be zero.
            (run(10, 3), 0, 0, run(13, 5)),
            (run(8, 4), 0, 2, run(12, 6)),
            (run(8, 4), 1, 4, run(12, 6)),
            (run(14, 4), 0, 0, Side::NONE),
            (run(14, 8), 4, 0, Side::NONE),
            (run(8, 16), 6, 2, Side::NONE),
            // Pages above have memory, which may hold something.
            (run(14, 8), 3, 8, Side::NONE),
            (run(2, 8), 0, 8, run(10, 8)),
            (run(18, 1), 0, 1, run(10, 8)),
        ] {
            let mut side = Side::new();
            side.note_clear(run(10, 8));
            let taken = Taken {
                run: taken,
                scavenged,
            };
            assert_eq!(side.take_clear(taken, |_| 0), unclear, "{taken:?}");
            assert_eq!(side.clear.count, left.count, "{taken:?}");
            assert!(left.is_empty() || side.clear == left, "{taken:?}");
        }
    }

    #[test]
    fn a_page_above_may_have_memory_instead_of_one_below() {
        let mut side = Side::new();
        side.note_clear(run(10, 8));
        let taken = Taken {
            run: run(9, 10),
            scavenged: 1,
        };
        let lacking = |below: PageRun| {
            assert_eq!(below, run(9, 1));
            1
        };
        assert_eq!(side.take_clear(taken, lacking), 10);
    }

    #[test]
    fn pages_that_were_taken_otherwise_are_forgotten() {
        for (taken, is_known) in [
            (run(9, 1), true),
            (run(18, 1), true),
            (run(9, 2), false),
            (run(17, 5), false),
            (run(12, 1), false),
        ] {
            let mut side = Side::new();
            side.note_clear(run(10, 8));
            side.forget_clear(taken);
            assert_eq!(!side.clear.is_empty(), is_known, "{taken:?}");
        }
    }
}
