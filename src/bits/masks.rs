//! Masks: both bits of short values, to be moved to any word by one shift.

use super::format::{self, UNIT_WORDS};
use super::map::{PointerMap, WORD_BYTES};

/// Words that masks have bits for.
pub(super) const MASKED_WORDS: usize = u64::BITS as usize;

/// Both bits of the words of a value of up to [`MASKED_WORDS`], each as one number, first word
/// lowest: they are moved to any word of a unit by one shift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masks {
    pub(super) pointers: u64,
    pub(super) scan: u64,
    /// Both of the first unit's words.
    pub(super) first: usize,
    /// Bytes of the value, with words of `usize`.
    bytes: usize,
    /// Words before the last pointer.
    before_last: usize,
}

impl Masks {
    /// The masks of nothing that fits anywhere.
    pub(super) const NONE: Self = Self {
        pointers: 0,
        scan: 0,
        first: 0,
        bytes: usize::MAX,
        before_last: 0,
    };

    /// Both bits of each word, if there are pointers and the last is among the first
    /// [`MASKED_WORDS`].
    pub(super) const fn of(map: &PointerMap<'_>) -> Self {
        if map.described() == 0 || map.described() > MASKED_WORDS {
            return Self::NONE;
        }
        let (mut pointers, mut scan) = (0, 0);
        let mut word = 0;
        while word < map.described() {
            pointers |= (map.bits(word, UNIT_WORDS) as u64) << word;
            scan |= (format::scan(map.described(), word, UNIT_WORDS) as u64) << word;
            word += UNIT_WORDS;
        }
        Self {
            pointers,
            scan,
            first: format::unit(
                map.bits(0, UNIT_WORDS),
                format::scan(map.described(), 0, UNIT_WORDS),
            ),
            bytes: map.words() * WORD_BYTES,
            before_last: map.described() - 1,
        }
    }

    /// Words before the last pointer.
    #[inline(always)]
    pub(crate) const fn words_before_last(&self) -> usize {
        self.before_last
    }

    /// Whether there are masks, and of a value that fits memory of `bytes` bytes with words of
    /// `word_bytes`.
    #[inline(always)]
    pub(crate) const fn fit(&self, bytes: usize, word_bytes: usize) -> bool {
        self.bytes / (WORD_BYTES / word_bytes) <= bytes
    }
}
