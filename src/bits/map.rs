//! Pointer maps: which words of a value hold pointers, as a constant of its type.

use super::format::{self, UNIT_WORDS, WORD_BYTES, low, min};
use super::masks::{MASKED_WORDS, Masks};
use super::runs::Run;

/// Words that a map holds as a mask. Bits of longer maps are looked up in their composition.
const MASK_WORDS: usize = 128;

/// The units of a value that begins at the first word of a unit.
pub(super) type Units = [usize; MASK_WORDS / UNIT_WORDS];

/// The units of a value without pointers.
pub(super) const NO_UNITS: Units = [0; MASK_WORDS / UNIT_WORDS];

/// A pointer map: which words of a value hold pointers.
///
/// Maps are made in `const`, from masks, from [runs](Run), or from the maps of fields and
/// elements; mistakes stop the compilation. A map whose last pointer is among the first 128 words
/// becomes a mask. In a longer map the bits of a unit's words are looked up in its composition:
/// fields one by one, runs by bisection, elements by division.
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
    /// Words up to and including the last pointer.
    described: usize,
    /// The pointer bits of a value of at most half a unit's words, repeated over one and a half
    /// units' words: any unit's words of an array are among them.
    pattern: usize,
    masks: Masks,
    composition: Composition<'a>,
}

/// The source of a map's bits.
#[derive(Clone, Copy, Debug)]
enum Composition<'a> {
    /// The bits themselves: no pointer follows the words of these units.
    Units(Units),
    /// A sequence of runs.
    Runs(&'a [Run]),
    /// The maps of fields.
    Fields(&'a [Field<'a>]),
    /// The map of an element, repeated as often as the number of words says.
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
        let words = bytes.div_ceil(WORD_BYTES);
        Self::new(words, 0, Composition::Units(NO_UNITS))
    }

    /// The map of these words, before it is made compact.
    const fn new(words: usize, described: usize, composition: Composition<'a>) -> Self {
        Self {
            words,
            described,
            pattern: 0,
            masks: Masks::NONE,
            composition,
        }
    }

    /// The map of `words` words, where word `i` is a pointer if bit `i` of the mask is set. Words
    /// above the mask hold no pointers.
    ///
    /// # Panics
    /// The mask has a bit for a word that the value does not have.
    #[must_use]
    pub const fn from_mask(words: usize, mask: u128) -> Self {
        let described = (u128::BITS - mask.leading_zeros()) as usize;
        assert!(
            described <= bounded(words),
            "the mask is longer than the value"
        );
        let mut units = NO_UNITS;
        let mut word = 0;
        while word < described {
            if mask >> word & 1 != 0 {
                units[word / UNIT_WORDS] |= 1 << (word % UNIT_WORDS);
            }
            word += 1;
        }
        Self::new(words, described, Composition::Units(units)).compact()
    }

    /// The map of `words` words that these runs describe, one after the other. Words after the last
    /// run hold no pointers.
    ///
    /// # Panics
    /// The runs are longer than the value, or are not one [sequence](Run::sequence).
    #[must_use]
    pub const fn from_runs(words: usize, runs: &'a [Run]) -> Self {
        let (end, described) = Run::measure(runs);
        assert!(end <= bounded(words), "the runs are longer than the value");
        Self::new(words, described, Composition::Runs(runs)).compact()
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
        Self::new(words, described, Composition::Array(element)).compact()
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
        Self::new(words, described, Composition::Fields(fields)).compact()
    }

    /// Words of the value.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.words
    }

    /// Words of the value up to and including its last pointer; 0 if there is none.
    #[must_use]
    pub const fn described(&self) -> usize {
        self.described
    }

    /// The number of words that hold pointers.
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

    /// Whether a word holds a pointer. Words after the value hold none.
    #[must_use]
    pub const fn is_pointer(&self, word: usize) -> bool {
        word < self.described && self.bits(word, 1) != 0
    }

    /// The pointer bits of `count` words from word `from`, at most [`UNIT_WORDS`] of them; zero for
    /// words after the value.
    #[inline]
    pub(super) const fn bits(&self, from: usize, count: usize) -> usize {
        if from >= self.described {
            return 0;
        }
        match &self.composition {
            Composition::Units(units) => unit_bits(units, from) & low(count),
            Composition::Runs(runs) => Run::bits(runs, from, count),
            Composition::Fields(fields) => field_bits(fields, from, count),
            Composition::Array(element) => element.repeated(from, min(count, self.words - from)),
        }
    }

    /// The pointer bits of `count` words from word `from` of this map repeated without end.
    #[inline]
    pub(super) const fn repeated(&self, from: usize, count: usize) -> usize {
        if self.described == 0 {
            return 0;
        }
        let period = self.words;
        let mut phase = if from < period { from } else { from % period };
        if period <= UNIT_WORDS / 2 {
            return self.pattern >> phase & low(count);
        }
        let (mut bits, mut done) = (0, 0);
        while done < count {
            let step = min(period - phase, count - done);
            bits |= self.bits(phase, step) << done;
            done += step;
            phase = 0;
        }
        bits
    }

    /// The masks of a value of up to 64 described words; else [`Masks::NONE`].
    #[inline]
    pub(super) const fn masks(&self) -> Masks {
        self.masks
    }

    /// The units of a value that begins at the first word of a unit, if no pointer follows them.
    #[inline]
    pub(super) const fn units(&self) -> Option<&Units> {
        match &self.composition {
            Composition::Units(units) => Some(units),
            _ => None,
        }
    }

    /// The pattern of a short value: its bits, doubled until there are enough.
    const fn doubled(&self) -> usize {
        if self.words == 0 || self.words > UNIT_WORDS / 2 {
            return 0;
        }
        let mut bits = self.bits(0, self.words);
        let mut known = self.words;
        while known < UNIT_WORDS + UNIT_WORDS / 2 {
            bits |= bits << known;
            known *= 2;
        }
        bits
    }

    /// Makes the masks, if there are pointers and the last is among the first [`MASKED_WORDS`].
    const fn made_masks(&self) -> Masks {
        if self.described == 0 || self.described > MASKED_WORDS {
            return Masks::NONE;
        }
        let (mut pointers, mut word) = (0, 0);
        while word < self.described {
            pointers |= (self.bits(word, UNIT_WORDS) as u64) << word;
            word += UNIT_WORDS;
        }
        Masks::new(pointers, self.described, self.words)
    }

    /// Turns a map that is short enough into units.
    const fn compact(self) -> Self {
        if self.described > MASK_WORDS {
            return self;
        }
        let mut units = NO_UNITS;
        let mut index = 0;
        while index < units.len() {
            let first = index * UNIT_WORDS;
            let scan = format::scan(self.described, first, UNIT_WORDS);
            units[index] = format::unit(self.bits(first, UNIT_WORDS), scan);
            index += 1;
        }
        Self {
            pattern: self.doubled(),
            masks: self.made_masks(),
            composition: Composition::Units(units),
            ..self
        }
    }
}

/// Returns `words`, and panics if no value can have as many.
const fn bounded(words: usize) -> usize {
    assert!(
        words <= isize::MAX.unsigned_abs() / WORD_BYTES,
        "the value is larger than half of the address space"
    );
    words
}

/// The pointer bits of the words from word `from` on, at least as many as a unit has.
#[inline]
const fn unit_bits(units: &Units, from: usize) -> usize {
    let (index, shift) = (from / UNIT_WORDS, from % UNIT_WORDS);
    if index >= units.len() {
        return 0;
    }
    let bits = format::pointers(units[index]) >> shift;
    if shift == 0 || index + 1 == units.len() {
        return bits;
    }
    bits | format::pointers(units[index + 1]) << (UNIT_WORDS - shift)
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
