//! Objects that share units, written and read by several CPUs at once.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::bed::{Bed, Lie, Top};
use super::every;
use crate::bits::{
    Description, PointerMap, PointerWords, UNIT_WORDS, clear, describe, describe_value,
};

type Top8 = Bed<Top, 8>;

/// Words of a slot: no divisor of a unit's, so that neighbours share units in every way.
const SLOT: usize = 3;
/// Slots, about as many as fit four units.
const SLOTS: usize = 4 * UNIT_WORDS / SLOT;

fn slot(index: usize) -> archipelago_api::VirtAddr {
    Top8::address(5 + SLOT * index)
}

fn pointers_of(bed: &Top8, index: usize) -> Vec<usize> {
    let read = PointerWords::of(bed, slot(index), SLOT * 8).expect("in the space");
    read.collect()
}

/// Two CPUs describe and clear every other object, and a third reads one that nobody touches: it
/// never sees anything else, and in the end every object has its own bits.
#[test]
fn nobody_sees_what_is_done_to_a_neighbour() {
    let bed = Top8::new(Lie::Apart);
    let maps = [0b001, 0b110, 0b111].map(|mask| PointerMap::from_mask(SLOT, mask));
    let still = SLOTS / 2;
    assert_eq!(
        describe_value(&bed, slot(still), SLOT * 8, &maps[1]),
        Ok(())
    );
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (bed, maps, done) = (&bed, &maps, &done);
        scope.spawn(move || {
            while !done.load(Relaxed) {
                assert_eq!(pointers_of(bed, still), [8, 16]);
            }
        });
        let writers = [0, 1].map(|cpu| {
            scope.spawn(move || {
                for round in (0..300).step_by(every(100)) {
                    for index in (cpu..SLOTS).step_by(2).filter(|index| *index != still) {
                        let map = &maps[(index + round) % 3];
                        let written = if round % 2 == 0 {
                            describe_value(bed, slot(index), SLOT * 8, map)
                        } else {
                            clear(bed, slot(index), SLOT * 8);
                            describe(bed, slot(index), SLOT * 8, &Description::one(map))
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
    let last = (0..300).step_by(every(100)).next_back().unwrap_or(0);
    let expected: [&[usize]; 3] = [&[0], &[8, 16], &[0, 8, 16]];
    for index in (0..SLOTS).filter(|index| *index != still) {
        assert_eq!(
            pointers_of(&bed, index),
            expected[(index + last) % 3],
            "slot {index}"
        );
    }
}
