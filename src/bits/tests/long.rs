//! Long maps and long arrays.

use alloc::vec::Vec;

use super::every;
use super::fixture::{Placement, TestTables, Top, Wide};
use super::oracle::{Model, SlotWords, Way, check_way, findings};
use crate::bits::{Description, Field, PointerMap, Run};
use fastrand::Rng;

/// The runs of a record.
fn runs_of(record: &[bool]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut word = 0;
    while word < record.len() {
        let rest = &record[word..];
        let skip = rest.iter().take_while(|pointer| !**pointer).count();
        let pointers = rest[skip..].iter().take_while(|pointer| **pointer).count();
        runs.push(match runs.last() {
            Some(last) => last.then(skip, pointers, 1),
            None => Run::new(skip, pointers, 1),
        });
        word += skip + pointers;
    }
    runs
}

/// Records of up to 600 words, most of them with long stretches of one kind.
fn record(random: &mut Rng) -> Vec<bool> {
    let words = 1 + random.usize(..600 / every(3));
    let stretch = 1 + random.usize(..90);
    let mut record = Vec::new();
    while record.len() < words {
        let pointer = random.usize(..2) == 0;
        let more = 1 + random.usize(..stretch);
        record.resize(record.len() + more, pointer);
    }
    record.truncate(words);
    record
}

#[test]
fn random_records_of_up_to_600_words_as_runs() {
    let mut random = Rng::with_seed(600);
    for placement in [Placement::Adjacent, Placement::Apart] {
        let tables = TestTables::<Top, 8>::new(placement);
        for _ in (0..2000).step_by(every(1000)) {
            let element = record(&mut random);
            let runs = runs_of(&element);
            let map = PointerMap::from_runs(element.len(), &runs);
            let count = 1 + random.usize(..3);
            let object = Model { element, count };
            let slot = SlotWords {
                first: TestTables::<Top, 8>::ARENA_WORDS - random.usize(..object.words() + 1),
                words: object.words() + random.usize(..3),
            };
            check_way(
                &tables,
                slot,
                &object,
                Way::Object(&Description::array(&map, count)),
            );
            if count == 1 {
                check_way(&tables, slot, &object, Way::Value(&map));
            }
        }
    }
}

/// Random records as structures of an array, a record in runs and a mask.
#[test]
fn random_records_as_nested_fields() {
    let mut random = Rng::with_seed(601);
    let tables = TestTables::<Top, 8>::new(Placement::Apart);
    for _ in (0..1500).step_by(every(750)) {
        let (inner, last) = (record(&mut random), record(&mut random));
        let short = 1 + random.usize(..100);
        let runs = runs_of(&inner);
        let inner_map = PointerMap::from_runs(inner.len(), &runs);
        let count = random.usize(..4);
        let array = PointerMap::array(&inner_map, count);
        let mask = u128::from(random.u64(..)) & ((1 << short) - 1);
        let mask_map = PointerMap::from_mask(short, mask);
        let last_runs = runs_of(&last);
        let last_map = PointerMap::from_runs(last.len(), &last_runs);

        let mut words = Model::of_mask(short, mask, 1).element;
        let array_at = words.len();
        for _ in 0..count {
            words.extend(&inner);
        }
        words.push(false);
        let last_at = words.len();
        words.extend(&last);
        // In an order that is not that of their places.
        let word = size_of::<usize>();
        let fields = [(last_at, &last_map), (0, &mask_map), (array_at, &array)];
        let fields = fields.map(|(first, map)| Field {
            offset: first * word,
            map,
        });
        let map = PointerMap::from_fields(words.len() * word, &fields);
        assert_eq!(
            map.pointers(),
            words.iter().filter(|pointer| **pointer).count()
        );
        let slot = SlotWords {
            first: TestTables::<Top, 8>::ARENA_WORDS - random.usize(..words.len()).min(1000),
            words: words.len(),
        };
        let object = Model {
            element: words,
            count: 1,
        };
        check_way(&tables, slot, &object, Way::Value(&map));
    }
}

fn a_million<const W: usize>(placement: Placement, element: &Model) {
    let tables = TestTables::<Wide, W>::new(placement);
    let object = Model {
        count: 1_000_000 / every(20_000),
        ..element.clone()
    };
    let map = PointerMap::from_mask(element.element.len(), element.mask());
    let slot = SlotWords {
        first: TestTables::<Wide, W>::ARENA_WORDS - 45,
        words: object.words() + 77,
    };
    let array = Description::array(&map, object.count);
    let found = findings(&tables, slot, &object, 100, || {
        Way::Object(&array).write(&tables, slot);
    });
    assert_eq!(found, []);
}

#[test]
fn a_million_elements_over_many_arenas() {
    a_million::<8>(Placement::Apart, &Model::of_mask(1, 1, 0));
    a_million::<8>(Placement::Adjacent, &Model::of_mask(3, 0b010, 0));
    a_million::<4>(Placement::Apart, &Model::of_mask(5, 0b00001, 0));
    a_million::<4>(Placement::Apart, &Model::of_mask(3, 0b101, 0));
}
