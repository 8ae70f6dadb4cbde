//! The oracle: the bits that an object has to have, found word by word, compared with those that
//! were written.

use alloc::vec::Vec;

use fastrand::Rng;

use super::fixture::TestTables;
use crate::bits::tables::WordIdx;
use crate::bits::{Description, PointerMap, SlotBits, UNIT_WORDS, describe, describe_value};
use crate::testing::TestGeometry;

/// An object by the words of its type: `count` times the words that `element` lists.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Whether a word of the element is a pointer.
    pub(super) element: Vec<bool>,
    pub(super) count: usize,
}

impl Model {
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

    /// Words up to the last pointer, which are described.
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

/// A difference between the bits that were written and those of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A pointer bit of a described word of the object, counted from its first.
    Pointer(usize),
    /// A scan bit of such a word.
    Scan(usize),
    /// A word of the slot after the last pointer is not dead.
    Dead(usize),
    /// A word of a neighbour has other bits than before: so many words below the slot.
    Below(usize),
    /// A word of a neighbour has other bits than before: so many words above the slot's last.
    Above(usize),
}

/// The place of a slot: its first word, counted from the bottom of the space, and its words.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotWords {
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
    /// As a short value in a slot that was cleared before: as the heap does it.
    Fresh(&'a PointerMap<'a>),
}

impl Way<'_> {
    /// Describes the object in a slot.
    pub(super) fn write<G: TestGeometry, const W: usize>(
        self,
        tables: &TestTables<G, W>,
        slot: SlotWords,
    ) {
        let (address, bytes) = (TestTables::<G, W>::address(slot.first), slot.words * W);
        let written = match self {
            Self::Value(map) => describe_value(tables, address, bytes, map),
            Self::Object(object) => describe(tables, address, bytes, object),
            Self::Fresh(map) => {
                set_fresh(tables, slot, map);
                Ok(())
            }
        };
        assert_eq!(written, Ok(()));
    }
}

/// Clears the slot's words, and sets the bits of a short value in it.
fn set_fresh<G: TestGeometry, const W: usize>(
    tables: &TestTables<G, W>,
    slot: SlotWords,
    map: &PointerMap<'_>,
) {
    let (first, masks) = (WordIdx(slot.first), map.masks());
    let units = first.units(tables);
    let of_slot = SlotBits::new(first.in_unit(), slot.words - 1);
    of_slot.clear(&units[..of_slot.units]);
    let of_object = SlotBits::new(first.in_unit(), masks.words_before_last());
    of_object.set(&units[..of_object.units], &masks);
}

/// Has `write` describe an object in a slot over random bits. Compares all words of the slot with
/// the model, and as many as `beside` on both sides with their old bits.
pub(super) fn findings<G: TestGeometry, const W: usize>(
    tables: &TestTables<G, W>,
    slot: SlotWords,
    object: &Model,
    beside: usize,
    write: impl FnOnce(),
) -> Vec<Finding> {
    let from = slot.first.saturating_sub(beside);
    let to = (slot.first + slot.words + beside).min(TestTables::<G, W>::WORDS);
    let mut random = Rng::with_seed((slot.first * 31 + slot.words) as u64);
    // Three bits of four, so that even a short object has words of every kind with stale bits.
    tables.fill_words(from..to, || random.usize(..) | random.usize(..));
    let before: Vec<_> = (from..to).map(|word| tables.bits(word)).collect();
    write();
    let end = slot.first + slot.words;
    let changed = |word: &usize| tables.bits(*word) != before[word - from];
    let below = (from..slot.first).filter(changed);
    let above = (end..to).filter(changed);
    let mut found: Vec<Finding> = below
        .map(|word| Finding::Below(slot.first - word))
        .collect();
    found.extend(above.map(|word| Finding::Above(word - end)));
    let total = object.total();
    for word in 0..slot.words {
        let (now, expected) = (tables.bits(slot.first + word), object.bits(word));
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

/// Whether an object can be written over a cleared slot: it is a short value, and the slot's units
/// are in one piece.
fn can_be_fresh<G: TestGeometry, const W: usize>(
    tables: &TestTables<G, W>,
    slot: SlotWords,
    object: &Model,
) -> bool {
    let first = WordIdx(slot.first);
    let units = SlotBits::new(first.in_unit(), slot.words - 1).units;
    object.count == 1 && (1..=64).contains(&object.total()) && units <= first.units(tables).len()
}

/// Makes the map of an object and checks every way in which it can be written.
pub(super) fn check<G: TestGeometry, const W: usize>(
    tables: &TestTables<G, W>,
    slot: SlotWords,
    object: &Model,
) {
    let map = PointerMap::from_mask(object.element.len(), object.mask());
    let description = Description::array(&map, object.count);
    check_way(tables, slot, object, Way::Object(&description));
    if object.count == 1 {
        check_way(tables, slot, object, Way::Value(&map));
    }
    if can_be_fresh(tables, slot, object) {
        check_way(tables, slot, object, Way::Fresh(&map));
    }
}

/// Checks one way to write an object.
pub(super) fn check_way<G: TestGeometry, const W: usize>(
    tables: &TestTables<G, W>,
    slot: SlotWords,
    object: &Model,
    way: Way<'_>,
) {
    let found = findings(tables, slot, object, 2 * UNIT_WORDS, || {
        way.write(tables, slot);
    });
    assert!(
        found.is_empty(),
        "{slot:?}, {object:?} as {way:?}: {found:?}"
    );
}
