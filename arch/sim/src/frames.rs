//! The frame allocator, and the count of frames taken from it.

/// The frame allocator of a simulated machine and its stock.
#[derive(Debug)]
pub(crate) struct Frames {
    available: usize,
    takes_back: bool,
    /// Whether the source supplies adjacent frames.
    adjacent: bool,
    /// The number of the first frame that no request for adjacent ones got.
    next: usize,
    taken: usize,
    returned: usize,
    held: usize,
}

/// The error that fewer frames were available than requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFew {
    pub(crate) available: usize,
}

impl Frames {
    /// A source of `available` frames.
    pub(crate) fn new(available: usize, takes_back: bool) -> Self {
        Self {
            available,
            takes_back,
            adjacent: false,
            next: 1,
            taken: 0,
            returned: 0,
            held: 0,
        }
    }

    /// Takes `count` frames, those in stock first. A failure takes the frames that there are and
    /// gives them back, as a machine does that requests one frame after the other: with a source
    /// that does not take frames back, they end up in stock.
    pub(crate) fn take(&mut self, count: usize) -> Result<(), TooFew> {
        let stocked = count.min(self.held);
        let fresh = (count - stocked).min(self.available);
        self.held -= stocked;
        self.available -= fresh;
        self.taken += fresh;
        if stocked + fresh == count {
            return Ok(());
        }
        self.held += stocked;
        self.give(fresh);
        Err(TooFew {
            available: stocked + fresh,
        })
    }

    /// Has the source supply adjacent frames.
    pub(crate) fn with_adjacent(self, adjacent: bool) -> Self {
        Self { adjacent, ..self }
    }

    /// Takes `count` adjacent frames from the source, the number of the first of which is a
    /// multiple of `align`, and returns that number. Frames in stock do not serve.
    pub(crate) fn take_adjacent(&mut self, count: usize, align: usize) -> Option<usize> {
        if !self.adjacent || count > self.available {
            return None;
        }
        let first = self.next.next_multiple_of(align.max(1));
        self.next = first + count;
        self.available -= count;
        self.taken += count;
        Some(first)
    }

    /// Gives `count` frames back to the source, or puts them in stock if it does not take them.
    pub(crate) fn give(&mut self, count: usize) {
        if self.takes_back {
            // A source with unlimited frames keeps the maximum.
            self.available = self.available.saturating_add(count);
            self.returned += count;
        } else {
            self.held += count;
        }
    }

    /// Sets how many more frames the source has.
    pub(crate) fn set_available(&mut self, count: usize) {
        self.available = count;
    }

    /// The number of frames that the source still has.
    pub(crate) fn available(&self) -> usize {
        self.available
    }

    /// Frames ever taken from the source.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Frames ever returned to the source.
    pub(crate) fn returned(&self) -> usize {
        self.returned
    }

    /// Frames in stock.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_takes_frames_back_never_leaves_a_stock() {
        let mut frames = Frames::new(10, true);
        frames.take(8).expect("ten are there");
        assert_eq!(frames.take(3), Err(TooFew { available: 2 }));
        frames.give(5);
        assert_eq!((frames.available(), frames.held()), (7, 0));
        assert_eq!(frames.taken() - frames.returned(), 3);
    }

    #[test]
    fn adjacent_frames_come_from_the_source_alone_and_only_if_it_supplies_them() {
        let mut frames = Frames::new(10, false);
        assert_eq!(frames.take_adjacent(2, 1), None);
        let mut frames = Frames::new(10, false).with_adjacent(true);
        frames.take(4).expect("ten are there");
        frames.give(4);
        assert_eq!(frames.take_adjacent(7, 1), None, "four are in stock");
        let first = frames.take_adjacent(3, 4);
        let next = frames.take_adjacent(3, 4);
        assert_eq!((first, next), (Some(4), Some(8)));
        assert_eq!(
            (frames.available(), frames.held(), frames.taken()),
            (0, 4, 10)
        );
    }

    #[test]
    fn what_a_source_does_not_take_back_is_held_and_used_first() {
        let mut frames = Frames::new(10, false);
        frames.take(8).expect("ten are there");
        frames.give(5);
        assert_eq!((frames.available(), frames.held()), (2, 5));
        frames.take(4).expect("five are held");
        assert_eq!(
            (frames.available(), frames.held(), frames.taken()),
            (2, 1, 8)
        );
        assert_eq!(frames.take(4), Err(TooFew { available: 3 }));
        assert_eq!(
            (frames.available(), frames.held(), frames.taken()),
            (0, 3, 10)
        );
        assert_eq!(frames.returned(), 0);
    }
}
