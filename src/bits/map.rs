//! Pointer maps: which words of a value hold pointers, as a constant of its type.

use core::mem::size_of;

use super::format::{UNIT_WORDS, low};
use super::runs::Run;

/// Words that a map holds as a mask; those of longer ones are looked up in what they are made of.
pub(super) const MASK_WORDS: usize = 128;

const WORD_BITS: usize = usize::BITS as usize;
const WORD_BYTES: usize = size_of::<usize>();

type Mask = [usize; MASK_WORDS / WORD_BITS];

/// Which words of a value hold pointers.
///
/// Maps are made in `const`, from masks, from [runs](Run), or from the maps of fields and
/// elements; mistakes stop the compilation. A map whose last pointer is among the first 128 words
/// is a mask, whatever it was made of. A longer one is looked up in what it was made of, a unit's
/// words at a time: each of its fields once, runs by bisection, elements by division.
///
/// ```
/// use archipelago::bits::PointerMap;
///
/// // A number, then a pointer; and eight times both.
/// const PAIR: PointerMap<'_> = PointerMap::from_mask(2, 0b10);
/// const PAIRS: PointerMap<'_> = PointerMap::array(&PAIR, 8);
/// assert_eq!((PAIRS.words(), PAIRS.pointers()), (16, 8));
/// assert!(PAIRS.is_pointer(15) && !PAIRS.is_pointer(14));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PointerMap<'a> {
    words: usize,
    /// Words up to the last pointer, it included.
    described: usize,
    shape: Shape<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Shape<'a> {
    Mask(Mask),
    Runs(&'a [Run]),
    Fields(&'a [Field<'a>]),
    /// The map of an element, repeated as often as the words say.
    Array(&'a PointerMap<'a>),
}

/// A field of a type: where it lies, and the map of its own type.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Bytes from the start of the type.
    pub offset: usize,
    /// The map of the field's type.
    pub map: &'a PointerMap<'a>,
}

impl<'a> PointerMap<'a> {
    /// The map of a value of `bytes` bytes without pointers.
    #[must_use]
    pub const fn none(bytes: usize) -> Self {
        Self {
            words: bytes.div_ceil(WORD_BYTES),
            described: 0,
            shape: Shape::Mask([0; MASK_WORDS / WORD_BITS]),
        }
    }

    /// The map of `words` words, where word `i` is a pointer if bit `i` of the mask is set. Words
    /// behind the mask hold none.
    ///
    /// # Panics
    /// The mask has a bit for a word that is none of them.
    #[must_use]
    pub const fn from_mask(words: usize, mask: u128) -> Self {
        let described = (u128::BITS - mask.leading_zeros()) as usize;
        assert!(
            described <= bounded(words),
            "the mask is longer than the value"
        );
        let mut parts = [0; MASK_WORDS / WORD_BITS];
        let mut word = 0;
        while word < described {
            if mask >> word & 1 != 0 {
                parts[word / WORD_BITS] |= 1 << (word % WORD_BITS);
            }
            word += 1;
        }
        Self {
            words,
            described,
            shape: Shape::Mask(parts),
        }
    }

    /// The map of `words` words that these runs describe, one behind the other. Words behind the
    /// last run hold no pointers.
    ///
    /// # Panics
    /// The runs are longer than the value, or are not one [sequence](Run::sequence).
    #[must_use]
    pub const fn from_runs(words: usize, runs: &'a [Run]) -> Self {
        let (end, described) = Run::measure(runs);
        assert!(end <= bounded(words), "the runs are longer than the value");
        Self {
            words,
            described,
            shape: Shape::Runs(runs),
        }
        .compact()
    }

    /// The map of `count` elements.
    ///
    /// # Panics
    /// All of them are more than half of an address space.
    #[must_use]
    pub const fn array(element: &'a Self, count: usize) -> Self {
        let words = match element.words.checked_mul(count) {
            Some(words) => bounded(words),
            None => bounded(usize::MAX),
        };
        let described = if element.described == 0 || count == 0 {
            0
        } else {
            words - element.words + element.described
        };
        Self {
            words,
            described,
            shape: Shape::Array(element),
        }
        .compact()
    }

    /// The map of a value of `bytes` bytes with these fields, in any order.
    ///
    /// # Panics
    /// A field with pointers reaches out of the value, or lies at no multiple of a word, or the
    /// value has pointers and is no multiple of a word.
    #[must_use]
    pub const fn from_fields(bytes: usize, fields: &'a [Field<'a>]) -> Self {
        let words = bytes.div_ceil(WORD_BYTES);
        let mut described = 0;
        let mut index = 0;
        while index < fields.len() {
            let field = &fields[index];
            if field.map.described > 0 {
                assert!(
                    field.offset % WORD_BYTES == 0 && bytes % WORD_BYTES == 0,
                    "a pointer lies at no multiple of a word"
                );
                let end = field.offset / WORD_BYTES + field.map.described;
                assert!(end <= words, "a field reaches out of the value");
                if end > described {
                    described = end;
                }
            }
            index += 1;
        }
        Self {
            words,
            described,
            shape: Shape::Fields(fields),
        }
        .compact()
    }

    /// Words of the value.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.words
    }

    /// Words of the value up to its last pointer, which is the last of them; 0 for none.
    #[must_use]
    pub const fn described(&self) -> usize {
        self.described
    }

    /// How many words hold pointers.
    #[must_use]
    pub const fn pointers(&self) -> usize {
        let mut pointers = 0;
        let mut from = 0;
        while from < self.described {
            pointers += self.bits(from, UNIT_WORDS).count_ones() as usize;
            from += UNIT_WORDS;
        }
        pointers
    }

    /// Whether a word holds a pointer. Words behind the value hold none.
    #[must_use]
    pub const fn is_pointer(&self, word: usize) -> bool {
        word < self.described && self.bits(word, 1) != 0
    }

    /// The pointer bits of `count` words from word `from`, at most [`UNIT_WORDS`] of them; zero for
    /// words behind the value.
    #[inline]
    pub(super) const fn bits(&self, from: usize, count: usize) -> usize {
        if from >= self.described {
            return 0;
        }
        match &self.shape {
            Shape::Mask(mask) => mask_bits(mask, from) & low(count),
            Shape::Runs(runs) => Run::bits(runs, from, count),
            Shape::Fields(fields) => field_bits(fields, from, count),
            Shape::Array(element) => element.repeated(from, least(count, self.words - from)),
        }
    }

    /// The same of this map repeated without end.
    pub(super) const fn repeated(&self, from: usize, count: usize) -> usize {
        if self.described == 0 {
            return 0;
        }
        let period = self.words;
        let mut phase = if from < period { from } else { from % period };
        if period <= UNIT_WORDS / 2 {
            // Doubled until it is long enough: at most one and a half halves.
            let mut bits = self.bits(0, period);
            let mut known = period;
            while known < phase + count {
                bits |= bits << known;
                known *= 2;
            }
            return bits >> phase & low(count);
        }
        let (mut bits, mut done) = (0, 0);
        while done < count {
            let step = least(period - phase, count - done);
            bits |= self.bits(phase, step) << done;
            done += step;
            phase = 0;
        }
        bits
    }

    /// The same map as a mask, if it is short enough for one.
    const fn compact(self) -> Self {
        if self.described > MASK_WORDS {
            return self;
        }
        let mut mask = [0; MASK_WORDS / WORD_BITS];
        let mut from = 0;
        while from < self.described {
            mask[from / WORD_BITS] |= self.bits(from, UNIT_WORDS) << (from % WORD_BITS);
            from += UNIT_WORDS;
        }
        Self {
            shape: Shape::Mask(mask),
            ..self
        }
    }
}

/// A number of words, if a value can have as many.
const fn bounded(words: usize) -> usize {
    assert!(
        words <= isize::MAX.unsigned_abs() / WORD_BYTES,
        "the value is larger than half of the address space"
    );
    words
}

/// The bits of a mask from bit `from` on, a unit's words of them at least.
#[inline]
const fn mask_bits(mask: &Mask, from: usize) -> usize {
    let (index, shift) = (from / WORD_BITS, from % WORD_BITS);
    if index >= mask.len() {
        return 0;
    }
    let bits = mask[index] >> shift;
    if shift <= UNIT_WORDS || index + 1 == mask.len() {
        return bits;
    }
    bits | mask[index + 1] << (WORD_BITS - shift)
}

/// The pointer bits of `count` words from word `from` of a value with these fields.
const fn field_bits(fields: &[Field<'_>], from: usize, count: usize) -> usize {
    let (mut bits, mut index) = (0, 0);
    while index < fields.len() {
        let field = &fields[index];
        let first = field.offset / WORD_BYTES;
        if first < from + count && from < first + field.map.described {
            let (skip, into) = (first.saturating_sub(from), from.saturating_sub(first));
            bits |= field.map.bits(into, count - skip) << skip;
        }
        index += 1;
    }
    bits
}

/// The smaller of the two: `min` is not `const`.
pub(super) const fn least(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}
