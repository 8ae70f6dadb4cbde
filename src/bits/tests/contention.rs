//! A unit that two CPUs change all the time: neither loses a write of the other.

use std::sync::Barrier;

use super::every;
use super::fixture::{Placement, Top8};
use crate::bits::{HeapBits, PointerMap, WordBits, clear, describe_value};

/// How often a CPU writes while another does: for two that take turns on one core, often enough to
/// be interrupted in between.
const WRITES: usize = 2_000_000 / every(100_000);

/// A pointer in the word of a unit that is this CPU's, and none.
fn write_and_look(tables: &Top8, word: usize) {
    let map = PointerMap::from_mask(1, 1);
    let slot = Top8::address(word);
    let cursor = HeapBits::at(tables, slot).expect("in the space");
    let expected = WordBits {
        pointer: true,
        scan: true,
    };
    assert_eq!(describe_value(tables, slot, 8, &map), Ok(()));
    assert_eq!(cursor.entry(), Some(expected), "word {word}");
    clear(tables, slot, 8);
    assert_eq!(cursor.entry(), Some(WordBits::DEAD), "word {word}");
}

#[test]
fn no_write_to_a_shared_unit_is_lost() {
    let tables = Top8::new(Placement::Apart);
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let cpus = [0, 1].map(|word| {
            let (tables, start) = (&tables, &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..WRITES {
                    write_and_look(tables, word);
                }
            })
        });
        let ended = cpus.map(std::thread::ScopedJoinHandle::join);
        assert!(ended.iter().all(Result::is_ok), "a write was lost");
    });
}
