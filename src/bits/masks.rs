//! Masks: both bits of a short value's words, which one shift moves to any word of a unit.

use super::format::{self, UNIT_WORDS, WORD_BYTES};

/// Words that masks have bits for.
pub(super) const MASKED_WORDS: usize = u64::BITS as usize;

/// The pointer bits and the scan bits of a value of up to [`MASKED_WORDS`] described words, each
/// kind as one number, first word lowest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masks {
    pub(super) pointers: u64,
    pub(super) scan: u64,
    /// The unit of the first [`UNIT_WORDS`] words.
    pub(super) first: usize,
    /// Bytes of the value, with words of `usize`.
    bytes: usize,
    /// Words before the last pointer.
    before_last: usize,
}

impl Masks {
    /// No masks: those of a value that fits no memory.
    pub(super) const NONE: Self = Self {
        pointers: 0,
        scan: 0,
        first: 0,
        bytes: usize::MAX,
        before_last: 0,
    };

    /// The masks of a value of `words` words with these pointer bits, of which the highest is that
    /// of word `described - 1`.
    pub(super) const fn new(pointers: u64, described: usize, words: usize) -> Self {
        let (mut scan, mut word) = (0, 0);
        while word < described {
            scan |= (format::scan(described, word, UNIT_WORDS) as u64) << word;
            word += UNIT_WORDS;
        }
        Self {
            pointers,
            scan,
            first: low_unit(pointers, scan),
            bytes: words * WORD_BYTES,
            before_last: described - 1,
        }
    }

    /// Words before the last pointer.
    #[inline(always)]
    pub(crate) const fn words_before_last(&self) -> usize {
        self.before_last
    }

    /// Whether there are masks, and their value fits memory of `bytes` bytes with words of
    /// `word_bytes`.
    #[inline(always)]
    pub(crate) const fn fit(&self, bytes: usize, word_bytes: usize) -> bool {
        self.bytes / (WORD_BYTES / word_bytes) <= bytes
    }
}

/// The unit of the lowest words of these masks.
#[inline(always)]
pub(super) const fn low_unit(pointers: u64, scan: u64) -> usize {
    let low = format::low(UNIT_WORDS);
    format::unit(low_bits(pointers) & low, low_bits(scan) & low)
}

/// The lowest bits of a mask.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the high bits are dropped")]
pub(super) const fn low_bits(mask: u64) -> usize {
    mask as usize
}
