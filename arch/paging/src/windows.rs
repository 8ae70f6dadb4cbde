//! The record of reserved ranges.

use archipelago_api::{VirtAddr, VirtRange};

/// The number of reserved ranges that a machine can tell apart. Adjacent ones count as one.
pub const MAX_WINDOWS: usize = 128;

/// Reserved ranges, none of which overlap or touch, in no order.
#[derive(Debug)]
pub(crate) struct Windows {
    /// The first `count` are in use.
    ranges: [VirtRange; MAX_WINDOWS],
    count: usize,
}

impl Windows {
    pub(crate) const EMPTY: Self = {
        let Some(none) = VirtRange::new(VirtAddr::new(0), 0) else {
            unreachable!()
        };
        Self {
            ranges: [none; MAX_WINDOWS],
            count: 0,
        }
    };

    /// A part of `range` that is reserved, if there is one.
    pub(crate) fn overlap(&self, range: VirtRange) -> Option<VirtRange> {
        self.iter().find_map(|window| intersection(window, range))
    }

    /// Whether there is room to record `range`.
    pub(crate) fn has_room(&self, range: VirtRange) -> bool {
        self.room() > 0 || self.iter().any(|window| join(window, range).is_some())
    }

    /// Records `range`, which overlaps no recorded range, joined with those that it touches. Does
    /// nothing when there is no room for it.
    pub(crate) fn add(&mut self, range: VirtRange) {
        let mut joined = range;
        let mut at = 0;
        while at < self.count {
            if let Some(whole) = join(self.ranges[at], joined) {
                joined = whole;
                self.take(at);
            } else {
                at += 1;
            }
        }
        if let Some(slot) = self.ranges.get_mut(self.count) {
            *slot = joined;
            self.count += 1;
        }
    }

    /// Removes `range`, which lies in one of the recorded ranges. If that would leave two parts and
    /// there is no room for both, nothing is removed: then `range` cannot be reserved again, which
    /// is the only harm.
    pub(crate) fn remove(&mut self, range: VirtRange) {
        let Some(at) = self.position(range) else {
            return;
        };
        let (below, above) = around(self.ranges[at], range);
        if below.is_some() && above.is_some() && self.room() == 0 {
            return;
        }
        self.take(at);
        for part in [below, above].into_iter().flatten() {
            self.add(part);
        }
    }

    /// Removes the range at `at`; the last one takes its place.
    fn take(&mut self, at: usize) {
        self.count -= 1;
        self.ranges[at] = self.ranges[self.count];
    }

    fn position(&self, range: VirtRange) -> Option<usize> {
        self.iter().position(|window| window.contains_range(range))
    }

    fn room(&self) -> usize {
        MAX_WINDOWS - self.count
    }

    fn iter(&self) -> impl Iterator<Item = VirtRange> {
        self.ranges[..self.count].iter().copied()
    }
}

fn intersection(a: VirtRange, b: VirtRange) -> Option<VirtRange> {
    let (low, high) = if a.contains(b.base()) { (a, b) } else { (b, a) };
    let skipped = high.base().bytes_above(low.base())?;
    let (_, rest) = low.split_at(skipped)?;
    let bytes = rest.bytes().min(high.bytes());
    VirtRange::new(high.base(), bytes).filter(|part| !part.is_empty())
}

/// The union of both ranges, if one ends where the other begins.
fn join(a: VirtRange, b: VirtRange) -> Option<VirtRange> {
    let (low, high) = if a.end() == Some(b.base()) {
        (a, b)
    } else {
        (b, a)
    };
    if low.end() != Some(high.base()) {
        return None;
    }
    VirtRange::new(low.base(), low.bytes().checked_add(high.bytes())?)
}

/// The parts of `whole` below and above `part`, which lies in it.
fn around(whole: VirtRange, part: VirtRange) -> (Option<VirtRange>, Option<VirtRange>) {
    let parts = part
        .base()
        .bytes_above(whole.base())
        .and_then(|bytes| whole.split_at(bytes));
    let Some((below, rest)) = parts else {
        return (None, None);
    };
    let above = rest.split_at(part.bytes()).map(|(_, above)| above);
    let some = |range: VirtRange| Some(range).filter(|range| !range.is_empty());
    (some(below), above.and_then(some))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: usize, bytes: usize) -> VirtRange {
        VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap")
    }

    fn count(windows: &Windows) -> usize {
        windows.iter().count()
    }

    #[test]
    fn adjacent_ranges_are_one_and_a_hole_makes_two() {
        let mut windows = Windows::EMPTY;
        windows.add(range(0x1000, 0x1000));
        windows.add(range(0x3000, 0x1000));
        assert_eq!(count(&windows), 2);
        windows.add(range(0x2000, 0x1000));
        assert_eq!(count(&windows), 1);
        assert_eq!(
            windows.overlap(range(0, 0x10000)),
            Some(range(0x1000, 0x3000))
        );
        windows.remove(range(0x2000, 0x1000));
        assert_eq!(windows.overlap(range(0x2000, 0x1000)), None);
        assert_eq!(
            windows.overlap(range(0x1800, 0x2000)),
            Some(range(0x1800, 0x800))
        );
        assert_eq!(count(&windows), 2);
    }

    #[test]
    fn a_range_at_the_top_of_the_space_is_one_like_any_other() {
        let top = range(usize::MAX - 0x1fff, 0x2000);
        let (low, last) = top.split_at(0x1000).expect("longer");
        let mut windows = Windows::EMPTY;
        windows.add(top);
        windows.add(range(0, 0x1000));
        assert_eq!(count(&windows), 2, "the top does not touch the bottom");
        assert_eq!(windows.overlap(last), Some(last));
        windows.remove(low);
        assert_eq!(windows.overlap(top), Some(last));
    }

    #[test]
    fn a_full_table_takes_what_touches_and_forgets_no_half() {
        let mut windows = Windows::EMPTY;
        for i in 0..MAX_WINDOWS {
            let window = range(i * 0x10_0000, 0x3000);
            assert!(windows.has_room(window));
            windows.add(window);
        }
        assert!(!windows.has_room(range(0x5000, 0x1000)));
        assert!(
            windows.has_room(range(0x3000, 0x1000)),
            "it touches the first"
        );
        let (whole, middle) = (range(0, 0x3000), range(0x1000, 0x1000));
        windows.remove(middle);
        assert_eq!(windows.overlap(whole), Some(whole), "kept whole");
        windows.remove(range(0x10_0000, 0x1000));
        assert_eq!(windows.overlap(range(0x10_0000, 0x1000)), None);
        windows.remove(range(0x10_1000, 0x2000));
        windows.remove(middle);
        assert_eq!(
            windows.overlap(middle),
            None,
            "there is room for both halves now"
        );
    }
}
