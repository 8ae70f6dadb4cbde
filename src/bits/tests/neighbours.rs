//! Objects that share units, written and read by several CPUs at the same time.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Barrier;

use super::every;
use super::fixture::{Placement, Top8};
use crate::bits::{
    Description, PointerMap, PointerWords, UNIT_WORDS, clear, describe, describe_value,
};

/// Words of a slot: no divisor of a unit's, so that neighbours share units in every way.
const SLOT: usize = 3;
/// Slots, about as many as fit four units.
const SLOTS: usize = 4 * UNIT_WORDS / SLOT;

/// How often each writer goes over its slots.
const ROUNDS: usize = 40_000 / every(8_000);

/// Masks of the objects, in turn.
const MASKS: [u128; 3] = [0b001, 0b110, 0b111];
/// Pointers of each mask, in bytes from the start.
const EXPECTED: [&[usize]; 3] = [&[0], &[8, 16], &[0, 8, 16]];

fn slot(index: usize) -> archipelago_api::VirtAddr {
    Top8::address(5 + SLOT * index)
}

fn pointers_of(tables: &Top8, index: usize) -> Vec<usize> {
    let read = PointerWords::of(tables, slot(index), SLOT * 8).expect("in the space");
    read.collect()
}

/// Two CPUs describe and clear every other object, and find each as they left it; a third reads one
/// that stays as it is, and never sees anything else.
#[test]
fn changes_of_a_neighbour_are_not_seen() {
    let tables = Top8::new(Placement::Apart);
    let maps = MASKS.map(|mask| PointerMap::from_mask(SLOT, mask));
    let still = SLOTS / 2;
    assert_eq!(
        describe_value(&tables, slot(still), SLOT * 8, &maps[1]),
        Ok(())
    );
    let (done, start) = (AtomicBool::new(false), Barrier::new(3));
    std::thread::scope(|scope| {
        let (tables, maps, done, start) = (&tables, &maps, &done, &start);
        scope.spawn(move || {
            start.wait();
            while !done.load(Relaxed) {
                assert_eq!(pointers_of(tables, still), [8, 16]);
            }
        });
        let writers = [0, 1].map(|cpu| {
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    for index in (cpu..SLOTS).step_by(2).filter(|index| *index != still) {
                        if round > 0 {
                            assert_eq!(
                                pointers_of(tables, index),
                                EXPECTED[(index + round - 1) % 3]
                            );
                        }
                        let map = &maps[(index + round) % 3];
                        let written = if round % 2 == 0 {
                            describe_value(tables, slot(index), SLOT * 8, map)
                        } else {
                            clear(tables, slot(index), SLOT * 8);
                            describe(tables, slot(index), SLOT * 8, &Description::one(map))
                        };
                        assert_eq!(written, Ok(()));
                    }
                }
            })
        });
        let ended = writers.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    for index in (0..SLOTS).filter(|index| *index != still) {
        assert_eq!(
            pointers_of(&tables, index),
            EXPECTED[(index + ROUNDS - 1) % 3],
            "slot {index}"
        );
    }
}
