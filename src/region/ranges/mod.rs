//! Sorted, coalescing ranges of pages.
//!
//! Ranges are kept in page numbers, so that one which ends at the top of the address space is a
//! range like any other. They live in an array in metadata memory that doubles when it is full. The
//! array is topped up before a lock is taken ([`Ranges::needs_room`], [`Ranges::adopt`]), so that
//! nothing here fails for want of memory while one is held, and the array that was outgrown goes
//! back to the caller.

use core::fmt;

use crate::base::sparse::Zeroed;
use crate::base::sync::{CoreUsize, Ordering};
use crate::base::{PageIdx, PageRun};
use crate::region::source::LINE_BYTES;

/// One range in metadata memory: its first page and its page count.
pub(crate) type Slot = [CoreUsize; 2];

/// Slots of the first array: as many as the smallest piece of metadata memory holds.
pub(crate) const FIRST_CAPACITY: usize = LINE_BYTES / size_of::<Slot>();

/// Why ranges were left as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangesError {
    /// The run has no pages.
    Empty,
    /// Pages of the run are in the ranges already.
    Overlap,
    /// Pages of the run are not in the ranges.
    NotHeld,
    /// The array is full: it was not topped up.
    NoRoom,
}

impl fmt::Display for RangesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the run has no pages",
            Self::Overlap => "pages of the run are in the ranges already",
            Self::NotHeld => "pages of the run are not in the ranges",
            Self::NoRoom => "the array of ranges is full",
        })
    }
}

/// Sorted ranges of pages, none of which is empty or touches another.
///
/// Not shared: whoever holds it mutably may change it. Searches take O(log n) steps, changes move
/// up to n slots.
pub(crate) struct Ranges {
    /// The array; `None` rather than an empty one, so that ranges of a static are zero at first.
    array: Option<&'static [Slot]>,
    len: usize,
    pages: usize,
}

/// An array of ranges that is not needed any more, zeroed.
///
/// Invariant: the array was [`Zeroed`] once, and nothing refers to it any more.
#[derive(Debug)]
#[must_use = "memory that is dropped is lost: put it in stock"]
pub(crate) struct Outgrown(&'static [Slot]);

impl Outgrown {
    /// The memory, whose token is used up.
    pub(super) const fn into_slice(self) -> &'static [Slot] {
        self.0
    }
}

impl Ranges {
    /// No ranges, and no array yet.
    pub(crate) const fn new() -> Self {
        Self {
            array: None,
            len: 0,
            pages: 0,
        }
    }

    const fn slots(&self) -> &'static [Slot] {
        match self.array {
            Some(slots) => slots,
            None => &[],
        }
    }

    /// How many ranges the array has room for.
    pub(crate) const fn capacity(&self) -> usize {
        self.slots().len()
    }

    /// Pages of all ranges.
    pub(crate) const fn total_pages(&self) -> usize {
        self.pages
    }

    /// The ranges, lowest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = PageRun> + '_ {
        (0..self.len).map(|index| self.at(index))
    }

    /// Slots of the array that is needed before `more` more ranges are certain to fit, if the
    /// present one has no room for them.
    pub(crate) const fn needs_room(&self, more: usize) -> Option<usize> {
        let capacity = self.capacity();
        if self.len + more <= capacity {
            None
        } else if capacity == 0 {
            Some(FIRST_CAPACITY)
        } else {
            Some(capacity * 2)
        }
    }

    /// Moves the ranges to a larger array and hands back the one that is no longer needed, zeroed:
    /// the outgrown one, or `memory` itself if the present one is at least as large.
    pub(crate) fn adopt(&mut self, memory: Zeroed<Slot>) -> Option<Outgrown> {
        let fresh = memory.into_slice();
        if fresh.len() <= self.slots().len() {
            return Some(Outgrown(fresh));
        }
        let old = self.slots();
        self.array = Some(fresh);
        for (index, slot) in old.iter().enumerate() {
            if index < self.len {
                self.put(index, read(slot));
            }
            write(slot, PageRun::new(PageIdx(0), 0));
        }
        if old.is_empty() {
            None
        } else {
            Some(Outgrown(old))
        }
    }

    /// The index of the first range that begins above `page`; the number of ranges if none does.
    pub(crate) fn find_succ(&self, page: PageIdx) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if page < self.at(middle).first {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The range that holds `page`.
    pub(crate) fn holding(&self, page: PageIdx) -> Option<PageRun> {
        let range = self.at(self.find_succ(page).checked_sub(1)?);
        range.contains(page).then_some(range)
    }

    /// Whether one of the ranges holds `page`.
    pub(crate) fn contains(&self, page: PageIdx) -> bool {
        self.holding(page).is_some()
    }

    /// Whether one of the ranges holds all of `run`, which is not empty.
    pub(crate) fn contains_run(&self, run: PageRun) -> bool {
        self.holding(run.first)
            .is_some_and(|range| !run.is_empty() && run.end() <= range.end())
    }

    /// The lowest page of the ranges that is not below `page`.
    pub(crate) fn find_at_or_above(&self, page: PageIdx) -> Option<PageIdx> {
        let above = self.find_succ(page);
        if above > 0 && self.at(above - 1).contains(page) {
            Some(page)
        } else if above < self.len {
            Some(self.at(above).first)
        } else {
            None
        }
    }

    /// Adds `run`, joined with the ranges that it touches.
    ///
    /// # Errors
    /// If the run is empty, overlaps a range, or needs a slot that is not there. Nothing is changed
    /// then.
    pub(crate) fn add(&mut self, run: PageRun) -> Result<(), RangesError> {
        if run.is_empty() {
            return Err(RangesError::Empty);
        }
        let above = self.find_succ(run.first);
        let below = above.checked_sub(1).map(|index| (index, self.at(index)));
        let next = (above < self.len).then(|| self.at(above));
        let overlaps_below = below.is_some_and(|(_, range)| range.end() > run.first);
        if overlaps_below || next.is_some_and(|range| range.first < run.end()) {
            return Err(RangesError::Overlap);
        }
        let below = below.filter(|(_, range)| range.end() == run.first);
        let next = next.filter(|range| range.first == run.end());
        match (below, next) {
            (Some((index, low)), Some(high)) => {
                self.put(index, PageRun::between(low.first, high.end()));
                self.close_gap(above);
            }
            (Some((index, low)), None) => self.put(index, PageRun::between(low.first, run.end())),
            (None, Some(high)) => self.put(above, PageRun::between(run.first, high.end())),
            (None, None) => self.insert(above, run)?,
        }
        self.pages += run.count;
        Ok(())
    }

    /// Removes `run`, which lies in one range; what is left of that range on either side stays.
    ///
    /// # Errors
    /// If the run is empty, is not wholly held, or splits a range while there is no free slot.
    /// Nothing is changed then.
    pub(crate) fn remove(&mut self, run: PageRun) -> Result<(), RangesError> {
        if run.is_empty() {
            return Err(RangesError::Empty);
        }
        let index = self.find_succ(run.first).checked_sub(1);
        let index = index.ok_or(RangesError::NotHeld)?;
        let range = self.at(index);
        if run.end() > range.end() {
            return Err(RangesError::NotHeld);
        }
        let low = PageRun::between(range.first, run.first);
        let high = PageRun::between(run.end(), range.end());
        match (low.is_empty(), high.is_empty()) {
            (true, true) => self.close_gap(index),
            (true, false) => self.put(index, high),
            (false, true) => self.put(index, low),
            (false, false) => {
                self.insert(index + 1, high)?;
                self.put(index, low);
            }
        }
        self.pages -= run.count;
        Ok(())
    }

    /// Recounts what is kept on the side, and names the first rule that is broken.
    ///
    /// # Errors
    /// With the name of the rule.
    pub(crate) fn verify(&self) -> Result<(), &'static str> {
        if self.len > self.capacity() {
            return Err("more ranges than slots");
        }
        let mut pages = 0;
        let mut end = None;
        for range in self.iter() {
            if range.is_empty() {
                return Err("a range is empty");
            }
            if end.is_some_and(|end| range.first < end) {
                return Err("ranges overlap or are out of order");
            }
            if end == Some(range.first) {
                return Err("neighbouring ranges are not joined");
            }
            end = Some(range.end());
            pages += range.count;
        }
        if pages == self.pages {
            Ok(())
        } else {
            Err("page total of the ranges differs from their sum")
        }
    }

    fn at(&self, index: usize) -> PageRun {
        read(&self.slots()[index])
    }

    fn put(&self, index: usize, run: PageRun) {
        write(&self.slots()[index], run);
    }

    /// Makes room for a range at `index`; fails, with nothing changed, if the array is full.
    fn insert(&mut self, index: usize, run: PageRun) -> Result<(), RangesError> {
        if self.len == self.capacity() {
            return Err(RangesError::NoRoom);
        }
        for later in (index..self.len).rev() {
            self.put(later + 1, self.at(later));
        }
        self.len += 1;
        self.put(index, run);
        Ok(())
    }

    /// Drops the range at `index`.
    fn close_gap(&mut self, index: usize) {
        for later in index + 1..self.len {
            self.put(later - 1, self.at(later));
        }
        self.len -= 1;
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// Relaxed: the slots are atomics so that metadata memory may be shared, not to order anything.
// Whoever changes them holds the `Ranges` mutably.
fn read(slot: &Slot) -> PageRun {
    let first = slot[0].load(Ordering::Relaxed);
    PageRun::new(PageIdx(first), slot[1].load(Ordering::Relaxed))
}

fn write(slot: &Slot, run: PageRun) {
    slot[0].store(run.first.0, Ordering::Relaxed);
    slot[1].store(run.count, Ordering::Relaxed);
}

#[cfg(test)]
pub(crate) mod damage;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod tests;
