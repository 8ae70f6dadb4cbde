//! What the bits of an object have to be, found word by word, and a check of what was written.

use alloc::vec::Vec;

use fastrand::Rng;

use super::bed::Bed;
use crate::bits::lay::Extent;
use crate::bits::seed::Seed;
use crate::bits::tables::WordIdx;
use crate::bits::write::{describe_value_with, describe_with};
use crate::bits::{Description, PointerMap, UNIT_WORDS};
use crate::testing::TestGeometry;

/// An object by the words of its type: `count` times the words that `element` lists.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Whether a word of the element is a pointer.
    pub(super) element: Vec<bool>,
    pub(super) count: usize,
}

impl Object {
    /// The element whose first `words` words are pointers where bits of `mask` are set.
    pub(super) fn of_mask(words: usize, mask: u128, count: usize) -> Self {
        Self {
            element: (0..words).map(|word| mask >> word & 1 != 0).collect(),
            count,
        }
    }

    /// Pointers in an element.
    pub(super) fn pointers(&self) -> usize {
        self.element.iter().filter(|pointer| **pointer).count()
    }

    /// The pointers of an element as a mask.
    pub(super) fn mask(&self) -> u128 {
        let words = self.element.iter().rev();
        words.fold(0, |mask, pointer| mask << 1 | u128::from(*pointer))
    }

    /// Words of the object.
    pub(super) fn words(&self) -> usize {
        self.element.len() * self.count
    }

    /// Words up to the last pointer: those that are described.
    fn total(&self) -> usize {
        let of_element = self.element.iter().rposition(|pointer| *pointer);
        of_element.map_or(0, |last| {
            ((self.count * self.element.len()) + last + 1).saturating_sub(self.element.len())
        })
    }

    /// The pointer bit and the scan bit of a word of the object's slot, its special bit clear.
    fn bits(&self, word: usize) -> (bool, bool) {
        if word >= self.total() {
            return (false, false);
        }
        (self.element[word % self.element.len()], word != 1)
    }
}

/// What is wrong with the bits of a bed in which one object was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A pointer bit of a described word of the object, counted from its first.
    Pointer(usize),
    /// A scan bit of such a word.
    Scan(usize),
    /// A word of the slot behind the last pointer is not dead.
    Dead(usize),
    /// A word of a neighbour has other bits than before: so many words below the slot.
    Below(usize),
    /// The same, so many words above the slot's last.
    Above(usize),
}

/// The place of a slot: its first word, counted from the bottom of the space, and its words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) first: usize,
    pub(super) words: usize,
}

/// How an object is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    /// As one value.
    Value(&'a PointerMap<'a>),
    /// By its description.
    Object(&'a Description<'a>),
    /// As a short value, over words that were cleared before: as the heap does it.
    Laid(&'a PointerMap<'a>),
}

/// Describes an object in a slot over bits of no meaning, and looks at all words of the slot, and
/// at those beside it as far as `beside`.
pub(super) fn try_out<G: TestGeometry, const W: usize>(
    bed: &Bed<G, W>,
    slot: Slot,
    (object, way): (&Object, Way<'_>),
    seed: impl Seed,
    beside: usize,
) -> Vec<Finding> {
    let from = slot.first.saturating_sub(beside);
    let to = (slot.first + slot.words + beside).min(Bed::<G, W>::WORDS);
    let mut random = Rng::with_seed((slot.first * 31 + slot.words) as u64);
    bed.fill_words(from..to, || random.usize(..usize::MAX));
    let before: Vec<_> = (from..to).map(|word| bed.bits(word)).collect();
    let (address, bytes) = (Bed::<G, W>::address(slot.first), slot.words * W);
    let written = match way {
        Way::Value(map) => describe_value_with(bed, address, bytes, map, seed),
        Way::Object(object) => describe_with(bed, address, bytes, object, seed),
        Way::Laid(map) => {
            lay(bed, slot, map, seed);
            Ok(())
        }
    };
    assert_eq!(written, Ok(()));
    let end = slot.first + slot.words;
    let changed = |word: &usize| bed.bits(*word) != before[word - from];
    let below = (from..slot.first).filter(changed);
    let above = (end..to).filter(changed);
    let mut found: Vec<Finding> = below
        .map(|word| Finding::Below(slot.first - word))
        .collect();
    found.extend(above.map(|word| Finding::Above(word - end)));
    let total = object.total();
    for word in 0..slot.words {
        let (now, expected) = (bed.bits(slot.first + word), object.bits(word));
        if now == expected {
            continue;
        }
        found.push(match word {
            _ if word >= total => Finding::Dead(word),
            _ if now.0 != expected.0 => Finding::Pointer(word),
            _ => Finding::Scan(word),
        });
    }
    found
}

/// Clears the slot's words, and sets the bits of a short value in it.
fn lay<G: TestGeometry, const W: usize>(
    bed: &Bed<G, W>,
    slot: Slot,
    map: &PointerMap<'_>,
    seed: impl Seed,
) {
    let (first, masks) = (WordIdx(slot.first), map.masks());
    let units = first.units(bed);
    let of_slot = Extent::new(first.in_unit(), slot.words - 1);
    of_slot.clear_with(&units[..of_slot.units], seed);
    let of_object = Extent::new(first.in_unit(), masks.words_before_last());
    of_object.set_with(&units[..of_object.units], &masks, seed);
}

/// Whether an object can be laid into a slot: it is a short value, and the slot's units are in one
/// piece.
fn can_be_laid<G: TestGeometry, const W: usize>(
    bed: &Bed<G, W>,
    slot: Slot,
    object: &Object,
) -> bool {
    let first = WordIdx(slot.first);
    let units = Extent::new(first.in_unit(), slot.words - 1).units;
    object.count == 1 && (1..=64).contains(&object.total()) && units <= first.units(bed).len()
}

/// The same for an object whose map is made here, without a fault, which has to be right in
/// whichever way it is written.
pub(super) fn check<G: TestGeometry, const W: usize>(bed: &Bed<G, W>, slot: Slot, object: &Object) {
    let map = PointerMap::from_mask(object.element.len(), object.mask());
    check_way(
        bed,
        slot,
        object,
        Way::Object(&Description::array(&map, object.count)),
    );
    if object.count == 1 {
        check_way(bed, slot, object, Way::Value(&map));
    }
    if can_be_laid(bed, slot, object) {
        check_way(bed, slot, object, Way::Laid(&map));
    }
}

/// The same in this way.
pub(super) fn check_way<G: TestGeometry, const W: usize>(
    bed: &Bed<G, W>,
    slot: Slot,
    object: &Object,
    way: Way<'_>,
) {
    let found = try_out(bed, slot, (object, way), super::Sound, 2 * UNIT_WORDS);
    assert!(
        found.is_empty(),
        "{slot:?}, {object:?} as {way:?}: {found:?}"
    );
}
