//! Removal of pages from the high end of ranges. Tests alone do it: no heap gives a window back.

use super::Ranges;
use crate::base::{PageIdx, PageRun};

impl Ranges {
    /// How many ranges there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The highest range.
    pub(crate) fn last(&self) -> Option<PageRun> {
        Some(self.at(self.len.checked_sub(1)?))
    }

    /// Removes every page from `page` up, and says how many there were.
    pub(crate) fn remove_from(&mut self, page: PageIdx) -> usize {
        let before = self.pages;
        while let Some(range) = self.last() {
            if range.end() <= page {
                break;
            }
            let kept = PageRun::between(range.first, page);
            self.pages -= range.count - kept.count;
            if kept.is_empty() {
                self.len -= 1;
            } else {
                self.put(self.len - 1, kept);
            }
        }
        before - self.pages
    }

    /// Removes up to `count` pages from the top of the highest range, and says which.
    pub(crate) fn remove_last(&mut self, count: usize) -> Option<PageRun> {
        let range = self.last()?;
        let removed = count.min(range.count);
        if removed == 0 {
            return None;
        }
        let kept = range.count - removed;
        if kept == 0 {
            self.len -= 1;
        } else {
            self.put(self.len - 1, PageRun::new(range.first, kept));
        }
        self.pages -= removed;
        Some(PageRun::new(range.first.plus(kept), removed))
    }
}
