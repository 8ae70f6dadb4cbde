//! Tests of the choice of size classes.

use super::generate::{Class, generate, largest, most_slots};
use super::render::{magic, render};
use super::{FILE, PAGE_BYTES};

#[test]
fn the_file_is_what_the_generator_writes() {
    let text = render(&PAGE_BYTES.map(generate));
    assert_eq!(
        std::fs::read_to_string(FILE).unwrap(),
        text,
        "cargo xtask classes --write"
    );
}

#[test]
fn classes_are_few_enough_for_a_byte_and_reach_the_largest_size() {
    for page_bytes in PAGE_BYTES {
        let classes = generate(page_bytes).list;
        assert!(
            classes.len() <= 100,
            "{page_bytes}: {} classes",
            classes.len()
        );
        assert_eq!(classes.last().unwrap().size, largest(page_bytes));
    }
}

#[test]
fn spans_stay_within_what_a_record_describes() {
    for page_bytes in PAGE_BYTES {
        for class in generate(page_bytes).list {
            assert!(u8::try_from(class.pages).is_ok(), "{class:?}");
            assert!(
                class.slots >= 1 && class.slots <= most_slots(page_bytes),
                "{class:?}"
            );
        }
    }
}

#[test]
fn every_class_takes_less_memory_an_object_than_the_next() {
    for page_bytes in PAGE_BYTES {
        for pair in generate(page_bytes).list.windows(2) {
            let [class, next] = [pair[0], pair[1]];
            assert!(class.size < next.size);
            assert!(
                class.pages * next.slots < next.pages * class.slots,
                "{class:?} {next:?}"
            );
        }
    }
}

#[test]
fn a_lookup_of_128_bytes_meets_two_class_boundaries_at_most() {
    for page_bytes in PAGE_BYTES {
        let classes = generate(page_bytes).list;
        for first in (1024..largest(page_bytes)).step_by(128) {
            let inside = |class: &&Class| class.size > first && class.size < first + 128;
            assert!(
                classes.iter().filter(inside).count() <= 2,
                "{page_bytes}: {first}"
            );
        }
    }
}

#[test]
fn recorded_sizes_have_classes_of_their_own() {
    let classes = generate(4096).list;
    for size in [400, 4368] {
        assert!(classes.iter().any(|class| class.size == size), "{size}");
    }
}

#[test]
fn magic_is_the_inverse_rounded_up() {
    assert_eq!(magic(8), 1 << 29);
    assert_eq!(magic(3), 0x5555_5556);
    assert_eq!(magic(32768), 1 << 17);
}
