//! Bitmaps of one chunk: which of its pages are free, and which are scavenged.
//!
//! A set bit is a free page, so that memory which is zero, because nobody has published a page of
//! the chunk yet, holds no free page; the same goes for the pages of a chunk that belong to
//! somebody else.

use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::summary::Summary;

/// Bits of a word.
pub(crate) const WORD: usize = usize::BITS as usize;

/// Pages of the largest chunk.
pub(crate) const MAX_PAGES: usize = 512;

/// The words of one bitmap. Chunks with fewer pages leave the rest zero.
pub(crate) type Words = [AtomicUsize; MAX_PAGES / WORD];

/// The bitmaps of one chunk in metadata memory: free pages, then scavenged pages.
pub(crate) type ChunkBits = [Words; 2];

/// A run that was found in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The first page of the run.
    pub(crate) first: usize,
    /// The lowest set bit that the search met.
    pub(crate) lowest: usize,
}

/// One bitmap of a chunk of `pages` pages.
///
/// Loads and stores are Relaxed: the page lock orders them. Page numbers count from the start of
/// the chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits<'a> {
    pub(super) words: &'a Words,
    pages: usize,
}

impl<'a> Bits<'a> {
    /// The bitmap in `words`, of which the first `pages` bits are used.
    #[inline]
    pub(crate) const fn new(words: &'a Words, pages: usize) -> Self {
        Self { words, pages }
    }

    /// Words of the chunk.
    #[inline]
    const fn len(self) -> usize {
        self.pages.div_ceil(WORD)
    }

    /// Pages of the chunk.
    #[inline]
    pub(crate) const fn pages(self) -> usize {
        self.pages
    }

    /// The word number `index`.
    #[inline]
    pub(super) fn word(self, index: usize) -> usize {
        self.words[index].load(Ordering::Relaxed)
    }

    /// The word number `index`, if the bitmap has as many.
    #[inline]
    pub(super) fn word_or_none(self, index: usize) -> Option<usize> {
        (index < self.len()).then(|| self.word(index))
    }

    /// Replaces the word number `index`.
    #[inline]
    pub(super) fn put_word(self, index: usize, word: usize) {
        self.words[index].store(word, Ordering::Relaxed);
    }

    /// Sets `count` bits from `first`.
    #[inline]
    pub(crate) fn set(self, first: usize, count: usize) {
        for (index, mask) in masks(first, count) {
            self.words[index].store(self.word(index) | mask, Ordering::Relaxed);
        }
    }

    /// Clears `count` bits from `first`.
    #[inline]
    pub(crate) fn clear(self, first: usize, count: usize) {
        for (index, mask) in masks(first, count) {
            self.words[index].store(self.word(index) & !mask, Ordering::Relaxed);
        }
    }

    /// Whether all of the `count` bits from `first` are `set`, or all of them clear.
    #[inline]
    pub(crate) fn all_are(self, set: bool, first: usize, count: usize) -> bool {
        masks(first, count).all(|(index, mask)| {
            let wanted = if set { mask } else { 0 };
            self.word(index) & mask == wanted
        })
    }

    /// How many of the `count` bits from `first` are set.
    #[inline]
    pub(crate) fn count(self, first: usize, count: usize) -> usize {
        masks(first, count)
            .map(|(index, mask)| (self.word(index) & mask).count_ones() as usize)
            .sum()
    }

    /// How many of the `count` bits from `first` are set both here and in `other`.
    pub(crate) fn count_both(self, other: Bits<'_>, first: usize, count: usize) -> usize {
        masks(first, count)
            .map(|(index, mask)| self.word(index) & other.word(index) & mask)
            .map(|both| both.count_ones() as usize)
            .sum()
    }

    /// How many bits are set from `page` up, without a gap.
    #[inline]
    pub(crate) fn run_above(self, page: usize) -> usize {
        let mut at = page;
        while at < self.pages {
            let bit = at % WORD;
            let ones = (self.word(at / WORD) >> bit).trailing_ones() as usize;
            at += ones;
            // The shift brings zeros in from above, so a run to the top of the word has this
            // length.
            if ones < WORD - bit {
                break;
            }
        }
        at - page
    }

    /// How many bits are set below `page`, without a gap.
    #[inline]
    pub(crate) fn run_below(self, page: usize) -> usize {
        run_below(page, |index| self.word(index))
    }

    /// The lowest set bit at or above `page`.
    #[inline]
    pub(crate) fn next_set(self, page: usize) -> Option<usize> {
        let mut ignored = page % WORD;
        for index in page / WORD..self.len() {
            let word = self.word(index) >> ignored << ignored;
            ignored = 0;
            if word != 0 {
                return Some(index * WORD + word.trailing_zeros() as usize);
            }
        }
        None
    }

    /// The lowest run of `count` set bits (at least one) among the bits from `from` up.
    #[inline]
    pub(crate) fn find(self, count: usize, from: usize) -> Option<Found> {
        let mut lowest = None;
        // Set bits directly below the word that is looked at.
        let mut run = 0;
        let mut ignored = from % WORD;
        for index in from / WORD..self.len() {
            let word = self.word(index) >> ignored << ignored;
            ignored = 0;
            if word == 0 {
                run = 0;
                continue;
            }
            let base = index * WORD;
            let lowest = *lowest.get_or_insert(base + word.trailing_zeros() as usize);
            let low = word.trailing_ones() as usize;
            if run + low >= count {
                let first = base - run;
                return Some(Found { first, lowest });
            }
            if low == WORD {
                run += WORD;
                continue;
            }
            let starts = run_starts(word, count);
            if starts != 0 {
                let first = base + starts.trailing_zeros() as usize;
                return Some(Found { first, lowest });
            }
            run = word.leading_ones() as usize;
        }
        None
    }

    /// Runs of set bits at the start, at the end, and the longest.
    pub(crate) fn summary(self) -> Summary {
        let mut start = None;
        let mut max = 0;
        let mut run = 0;
        for index in 0..self.len() {
            let word = self.word(index);
            if word == usize::MAX {
                run += WORD;
                max = max.max(run);
                continue;
            }
            if word == 0 {
                start.get_or_insert(run);
                run = 0;
                continue;
            }
            run += word.trailing_ones() as usize;
            start.get_or_insert(run);
            max = max.max(run);
            max = longer_run(word, max);
            run = word.leading_ones() as usize;
        }
        // A chunk smaller than a word ends below the top of the word, which is clear.
        let end = if self.pages < WORD {
            self.run_below(self.pages)
        } else {
            run
        };
        Summary {
            start: start.unwrap_or(run),
            max,
            end,
        }
    }

    /// The longest run among the bits of `range`, or `known` if that is longer. The search ends
    /// with a run of `most` bits. Bits above the range may be seen, those of the same word.
    #[inline]
    pub(crate) fn longest(self, range: Range<usize>, known: usize, most: usize) -> usize {
        let mut max = known;
        // Set bits directly below the word that is looked at.
        let mut run = 0;
        let mut ignored = range.start % WORD;
        for index in range.start / WORD..range.end.div_ceil(WORD) {
            if max >= most {
                break;
            }
            let word = self.word(index) >> ignored << ignored;
            ignored = 0;
            if word == 0 {
                run = 0;
                continue;
            }
            let low = word.trailing_ones() as usize;
            run += low;
            max = max.max(run);
            if low < WORD {
                max = longer_run(word, max);
                run = word.leading_ones() as usize;
            }
        }
        max
    }

    /// The highest run of pages below `below` whose bits are set here and clear in `other`: first
    /// page and length.
    pub(crate) fn highest_without(self, other: Bits<'_>, below: usize) -> Option<(usize, usize)> {
        let without = |index| self.word(index) & !other.word(index);
        let mut end = below;
        while end > 0 {
            let used = (end - 1) % WORD + 1;
            let word = without((end - 1) / WORD) << (WORD - used);
            if word != 0 {
                end -= word.leading_zeros() as usize;
                let count = run_below(end, without);
                return Some((end - count, count));
            }
            end -= used;
        }
        None
    }

    /// The highest page whose bit is set.
    pub(crate) fn last_set(self) -> Option<usize> {
        let last = (0..self.pages.div_ceil(WORD)).rfind(|index| self.word(*index) != 0)?;
        let above = self.word(last).leading_zeros() as usize;
        Some((last + 1) * WORD - 1 - above)
    }

    /// Whether the bits past the chunk are clear.
    pub(crate) fn unused_are_clear(self) -> bool {
        masks(self.pages, self.len() * WORD - self.pages)
            .all(|(index, mask)| self.word(index) & mask == 0)
    }
}

/// How many bits are set below `page`, without a gap, in the words that `word` answers with.
#[inline]
fn run_below(page: usize, word: impl Fn(usize) -> usize) -> usize {
    let mut at = page;
    while at > 0 {
        let used = (at - 1) % WORD + 1;
        let ones = (word((at - 1) / WORD) << (WORD - used)).leading_ones() as usize;
        at -= ones;
        if ones < used {
            break;
        }
    }
    page - at
}

/// The words that the `count` bits from `first` lie in, each with a mask of these bits.
#[inline]
fn masks(first: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = first;
    let end = first + count;
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let bit = at % WORD;
        let here = (end - at).min(WORD - bit);
        let item = (at / WORD, usize::MAX >> (WORD - here) << bit);
        at += here;
        Some(item)
    })
}

/// The bits of `word` that begin a run of at least `count` ones; `count` is at least one.
///
/// A bit stays if the `count - 1` bits above it are set; each step doubles how many have been
/// looked at.
#[inline]
pub(super) const fn run_starts(word: usize, count: usize) -> usize {
    if count > WORD {
        return 0;
    }
    // Few words of a fragmented chunk have eight ones in a row, which takes no loop to see.
    let (mut starts, mut seen) = if count >= 8 {
        (starts_of_eight(word), 8)
    } else {
        (word, 1)
    };
    while starts != 0 && 2 * seen <= count {
        starts &= starts >> seen;
        seen *= 2;
    }
    starts & (starts >> (count - seen))
}

/// The bits of `word` that begin a run of at least eight ones.
#[inline]
const fn starts_of_eight(word: usize) -> usize {
    let two = word & (word >> 1);
    let four = two & (two >> 2);
    four & (four >> 4)
}

/// The length of the longest run of ones in `word`, or `known` if that is longer.
#[inline]
fn longer_run(word: usize, known: usize) -> usize {
    let mut max = known;
    let mut starts = run_starts(word, known + 1);
    while starts != 0 {
        max += 1;
        starts &= starts >> 1;
    }
    max
}
