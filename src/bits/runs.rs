//! Runs: words without and with pointers in turn, for maps of long and irregular records.

use super::format::{low, min};

/// Words without a pointer, then words that are pointers, several times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Words of the runs before.
    first: usize,
    skip: usize,
    pointers: usize,
    repeat: usize,
}

impl Run {
    /// A sequence of runs, each given as words to skip, pointers, and the number of repetitions.
    ///
    /// ```
    /// use archipelago::bits::{PointerMap, Run};
    ///
    /// // Ten times a number and a pointer, then two hundred numbers, then four pointers.
    /// const RUNS: [Run; 2] = Run::sequence([(1, 1, 10), (200, 4, 1)]);
    /// const MAP: PointerMap<'_> = PointerMap::from_runs(224, &RUNS);
    /// assert_eq!(MAP.pointers(), 14);
    /// assert!(MAP.is_pointer(19) && MAP.is_pointer(223) && !MAP.is_pointer(219));
    /// ```
    #[must_use]
    pub const fn sequence<const N: usize>(runs: [(usize, usize, usize); N]) -> [Self; N] {
        let mut last = Self::new(0, 0, 0);
        let mut sequence = [last; N];
        let mut index = 0;
        while index < N {
            let (skip, pointers, repeat) = runs[index];
            last = last.then(skip, pointers, repeat);
            sequence[index] = last;
            index += 1;
        }
        sequence
    }

    /// The first run of a sequence.
    #[must_use]
    pub const fn new(skip: usize, pointers: usize, repeat: usize) -> Self {
        Self {
            first: 0,
            skip,
            pointers,
            repeat,
        }
    }

    /// The run that follows this one.
    #[must_use]
    pub const fn then(&self, skip: usize, pointers: usize, repeat: usize) -> Self {
        Self {
            first: self.end(),
            skip,
            pointers,
            repeat,
        }
    }

    /// Words of one repetition.
    const fn period(&self) -> usize {
        self.skip.saturating_add(self.pointers)
    }

    /// The first word after the run, or `usize::MAX` for a run that is longer than any value.
    const fn end(&self) -> usize {
        let words = self.period().saturating_mul(self.repeat);
        self.first.saturating_add(words)
    }

    /// Words of a sequence, and words of it up to the last pointer.
    ///
    /// # Panics
    /// The runs are not one sequence.
    pub(super) const fn measure(runs: &[Self]) -> (usize, usize) {
        let (mut end, mut described, mut index) = (0, 0, 0);
        while index < runs.len() {
            let run = &runs[index];
            assert!(run.first == end, "the runs are not one sequence");
            end = run.end();
            if run.pointers > 0 && run.repeat > 0 {
                described = end;
            }
            index += 1;
        }
        (end, described)
    }

    /// The pointer bits of `count` words from word `from` of a sequence.
    pub(super) const fn bits(runs: &[Self], from: usize, count: usize) -> usize {
        let mut index = Self::holding(runs, from);
        let mut bits = 0;
        while index < runs.len() && runs[index].first < from + count {
            bits |= runs[index].own_bits(from, count);
            index += 1;
        }
        bits
    }

    /// The first run that does not end at or below a word.
    const fn holding(runs: &[Self], word: usize) -> usize {
        let (mut low, mut high) = (0, runs.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if runs[middle].end() <= word {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The pointer bits that one run has among `count` words from word `from`.
    const fn own_bits(&self, from: usize, count: usize) -> usize {
        let (period, end) = (self.period(), min(self.end(), from + count));
        if self.pointers == 0 || self.repeat == 0 {
            return 0;
        }
        let into = from.saturating_sub(self.first);
        let mut once = self.first + into / period * period;
        let mut bits = 0;
        while once < end {
            let first = once + self.skip;
            let lower = first.saturating_sub(from);
            let upper = min(once + period, end).saturating_sub(from);
            if lower < upper {
                bits |= low(upper) & !low(lower);
            }
            once += period;
        }
        bits
    }
}
