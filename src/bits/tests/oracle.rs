//! What the bits of an object have to be, found word by word, and a check of what was written.

use alloc::vec::Vec;
use core::ops::Range;

use super::bed::Bed;
use crate::bits::seed::Seed;
use crate::bits::write::describe_with;
use crate::bits::{Description, PointerMap};
use crate::testing::{Random, TestGeometry};

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
    /// A word that is not the object's has other bits than before, counted from the bottom.
    Neighbour(usize),
}

/// The place of a slot: its first word, counted from the bottom of the space, and its words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) first: usize,
    pub(super) words: usize,
}

impl Slot {
    const fn range(self) -> Range<usize> {
        self.first..self.first + self.words
    }
}

/// Describes an object in a slot over bits of no meaning, and looks at all words of the slot, and
/// at those beside it as far as `beside`.
pub(super) fn try_out<G: TestGeometry, const W: usize>(
    bed: &Bed<G, W>,
    slot: Slot,
    (object, description): (&Object, &Description<'_>),
    seed: impl Seed,
    beside: usize,
) -> Vec<Finding> {
    let from = slot.first.saturating_sub(beside);
    let to = (slot.first + slot.words + beside).min(Bed::<G, W>::WORDS);
    let mut random = Random::new((slot.first * 31 + slot.words) as u64);
    bed.fill_words(from..to, || random.below(usize::MAX));
    let before: Vec<_> = (from..to).map(|word| bed.bits(word)).collect();
    let address = Bed::<G, W>::address(slot.first);
    describe_with(bed, address, slot.words * W, description, seed).expect("there are bits");
    let total = object.total();
    let mut found = Vec::new();
    for (word, before) in (from..to).zip(before) {
        let now = bed.bits(word);
        if !slot.range().contains(&word) {
            if now != before {
                found.push(Finding::Neighbour(word));
            }
            continue;
        }
        let of_object = word - slot.first;
        let (pointer, scan) = object.bits(of_object);
        if of_object >= total {
            if now != (false, false) {
                found.push(Finding::Dead(of_object));
            }
        } else if now.0 != pointer {
            found.push(Finding::Pointer(of_object));
        } else if now.1 != scan {
            found.push(Finding::Scan(of_object));
        }
    }
    found
}

/// The same for an object whose map is made here, without a fault, which has to be right.
pub(super) fn check<G: TestGeometry, const W: usize>(bed: &Bed<G, W>, slot: Slot, object: &Object) {
    let mask = object.element.iter().rev();
    let mask = mask.fold(0, |mask: u128, pointer| mask << 1 | u128::from(*pointer));
    let map = PointerMap::from_mask(object.element.len(), mask);
    check_as(bed, slot, object, &Description::array(&map, object.count));
}

/// The same with this description of the object.
pub(super) fn check_as<G: TestGeometry, const W: usize>(
    bed: &Bed<G, W>,
    slot: Slot,
    object: &Object,
    description: &Description<'_>,
) {
    let found = try_out(bed, slot, (object, description), super::Sound, 70);
    assert!(found.is_empty(), "{slot:?}, {object:?}: {found:?}");
}
