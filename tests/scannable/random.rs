//! Random requests, scannable and plain, against a record of every live object.

use archipelago::bits::PointerMap;
use archipelago_sim::SimGeometry;
use archipelago_testing::on_every_geometry;

use crate::subject::{POINTER, Subject};

const ROUNDS: usize = 300;

fn random_requests<G: SimGeometry>() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut subject = Subject::<G>::new();
        let most = G::GEOMETRY.arena_bytes() / Subject::<G>::WORD / 40;
        for round in 0..ROUNDS {
            let (words, mask) = (random.usize(1..100), random.u128(..));
            let mask = mask & (u128::MAX >> (128 - words));
            let map: PointerMap<'_> = PointerMap::from_mask(words, mask);
            match random.usize(0..10) {
                0..=2 => drop(subject.array(&map, random.usize(1..4))),
                3 => drop(subject.array(&POINTER, random.usize(1..most))),
                4..=5 => subject.plain(random.usize(8..4000)),
                6 if !subject.live.is_empty() => {
                    let index = random.usize(..subject.live.len());
                    subject.resize(index, &map, 2);
                }
                7 if random.usize(..10) == 0 => {
                    subject
                        .rig
                        .heap
                        .scavenge(random.usize(..50))
                        .expect("not busy");
                }
                _ if !subject.live.is_empty() => subject.free(random.usize(..subject.live.len())),
                _ => {}
            }
            if round % 20 == 0 {
                subject.check();
            }
        }
        while !subject.live.is_empty() {
            subject.free(random.usize(..subject.live.len()));
        }
        subject.check();
    }
}

on_every_geometry!(random_requests);
