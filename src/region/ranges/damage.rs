//! Damage that tests do to ranges, one kind for every rule that [`Ranges::verify`] checks.

use super::Ranges;
use crate::base::PageRun;

/// A rule of the ranges that tests break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangesCorruption {
    /// A range is empty.
    Empty,
    /// A range comes twice.
    OutOfOrder,
    /// A range lies in two pieces.
    NotJoined,
    /// The total of pages.
    Total,
    /// There are more ranges than the array has slots.
    Overfull,
}

impl Ranges {
    /// Breaks one rule; there is a range of two pages or more, and a free slot.
    pub(crate) fn corrupt(&mut self, corruption: RangesCorruption) {
        let Some(last) = self.last() else { return };
        let end = self.len - 1;
        match corruption {
            RangesCorruption::Empty => self.put(end, PageRun::new(last.first, 0)),
            RangesCorruption::OutOfOrder => {
                self.put(self.len, last);
                self.len += 1;
            }
            RangesCorruption::NotJoined => {
                self.put(end, PageRun::new(last.first, 1));
                self.put(self.len, PageRun::between(last.first.plus(1), last.end()));
                self.len += 1;
            }
            RangesCorruption::Total => self.pages += 1,
            RangesCorruption::Overfull => self.len = self.capacity() + 1,
        }
    }
}
