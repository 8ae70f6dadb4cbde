//! The address space that a machine has taken, so that it goes when the machine does.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_api::{VirtAddr, VirtRange};

/// Ranges that are remembered. Those beyond stay taken when the machine is dropped.
const MOST: usize = 32;

/// Ranges, in no order. One transition of a machine runs at a time, and so one change of this.
#[derive(Debug)]
pub(crate) struct Reservations {
    places: [Place; MOST],
}

/// A range, or none: then it has no bytes.
#[derive(Debug)]
struct Place {
    base: AtomicUsize,
    bytes: AtomicUsize,
}

impl Reservations {
    pub(crate) const fn new() -> Self {
        Self {
            places: [const {
                Place {
                    base: AtomicUsize::new(0),
                    bytes: AtomicUsize::new(0),
                }
            }; MOST],
        }
    }

    /// Remembers a range, if there is a place.
    pub(crate) fn add(&self, range: VirtRange) {
        if let Some(free) = self.places.iter().find(|place| place.get().is_empty()) {
            free.set(range);
        }
    }

    /// Forgets a range: all or parts of those that were added.
    pub(crate) fn remove(&self, range: VirtRange) {
        for place in &self.places {
            let own = place.get();
            if !own.overlaps(range) {
                continue;
            }
            let below = range.base().bytes_above(own.base()).unwrap_or(0);
            let end = |range: VirtRange| range.base().value().wrapping_add(range.bytes());
            let above = match own.last().and_then(|last| last.bytes_above(range.base())) {
                Some(last) if last >= range.bytes() => end(own).wrapping_sub(end(range)),
                _ => 0,
            };
            place.set(VirtRange::new(own.base(), below).unwrap_or(own));
            if let Some(rest) = range.end().and_then(|end| VirtRange::new(end, above)) {
                self.add(rest);
            }
        }
    }

    /// The ranges.
    pub(crate) fn iter(&self) -> impl Iterator<Item = VirtRange> + '_ {
        let ranges = self.places.iter().map(Place::get);
        ranges.filter(|range| !range.is_empty())
    }
}

impl Place {
    fn get(&self) -> VirtRange {
        let base = VirtAddr::new(self.base.load(Relaxed));
        let range = VirtRange::new(base, self.bytes.load(Relaxed));
        range.unwrap_or(EMPTY)
    }

    fn set(&self, range: VirtRange) {
        self.base.store(range.base().value(), Relaxed);
        self.bytes.store(range.bytes(), Relaxed);
    }
}

const EMPTY: VirtRange = match VirtRange::new(VirtAddr::new(0), 0) {
    Some(range) => range,
    None => unreachable!(),
};

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: usize, bytes: usize) -> VirtRange {
        VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap")
    }

    fn left(added: &[VirtRange], removed: VirtRange) -> Vec<VirtRange> {
        let all = Reservations::new();
        added.iter().for_each(|range| all.add(*range));
        all.remove(removed);
        let mut left: Vec<_> = all.iter().collect();
        left.sort_by_key(|range| range.base().value());
        left
    }

    #[test]
    fn what_is_left_is_what_was_added_less_what_was_removed() {
        let own = range(0x3000, 0x4000);
        assert_eq!(left(&[own], own), []);
        assert_eq!(left(&[own], range(0x1000, 0x2000)), [own]);
        assert_eq!(left(&[own], range(0x7000, 0x1000)), [own]);
        assert_eq!(left(&[own], range(0x2000, 0x2000)), [range(0x4000, 0x3000)]);
        assert_eq!(left(&[own], range(0x5000, 0x4000)), [range(0x3000, 0x2000)]);
        assert_eq!(left(&[own], range(0x1000, 0x9000)), []);
        let middle = [range(0x3000, 0x1000), range(0x6000, 0x1000)];
        assert_eq!(left(&[own], range(0x4000, 0x2000)), middle);
        let both = [range(0x3000, 0x1000), range(0x4000, 0x1000)];
        assert_eq!(left(&both, range(0x3000, 0x2000)), []);
    }

    #[test]
    fn ranges_beyond_the_last_place_are_not_remembered() {
        let all = Reservations::new();
        (0..MOST + 3).for_each(|number| all.add(range(0x10_0000 * (number + 1), 0x1000)));
        assert_eq!(all.iter().count(), MOST);
        all.remove(range(0x20_0000, 0x1000));
        all.add(range(0x1000, 0x1000));
        assert_eq!(all.iter().count(), MOST);
    }
}
