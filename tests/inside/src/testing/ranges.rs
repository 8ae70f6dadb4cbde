//! Ranges alone.

use alloc::vec::Vec;
use core::ops::Range;

use crate::base::PageIdx;
use crate::region::ranges::Ranges;

use super::run;
use super::source::{HostSource, top_up};

/// Sorted, coalescing ranges of whatever is counted.
#[derive(Debug)]
pub struct RangeList {
    ranges: Ranges,
    source: HostSource,
}

impl RangeList {
    /// No ranges.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ranges: Ranges::new(),
            source: HostSource::default(),
        }
    }

    /// Adds a range; false if it is empty or overlaps one that is there.
    pub fn add(&mut self, range: Range<usize>) -> bool {
        top_up(&mut self.ranges, &mut self.source);
        self.ranges.add(run(range.start, range.len())).is_ok()
    }

    /// The index of the first range that begins above `at`.
    #[must_use]
    pub fn find_succ(&self, at: usize) -> usize {
        self.ranges.find_succ(PageIdx(at))
    }

    /// The ranges, lowest first.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let ranges = self.ranges.iter();
        ranges.map(|run| run.first.0..run.end().0).collect()
    }

    /// The sum of all lengths.
    #[must_use]
    pub fn total(&self) -> usize {
        self.ranges.total_pages()
    }

    /// Checks every invariant.
    ///
    /// # Errors
    /// With the name of the first that is broken.
    pub fn verify(&self) -> Result<(), &'static str> {
        self.ranges.verify()
    }
}

impl Default for RangeList {
    fn default() -> Self {
        Self::new()
    }
}
