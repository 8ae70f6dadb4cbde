//! Several CPUs at once: they allocate, resize and free scannable objects, give bitmap memory back,
//! and read the bitmap everywhere.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Barrier;
use std::thread;

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocFlags, VirtAddr};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, on_every_geometry};

use crate::subject::Subject;

const CPUS: usize = 3;

/// The work of one CPU.
const STEPS: usize = if cfg!(miri) { 40 } else { 800 };

/// An object of a CPU, and its description: a pointer in the first of so many words, repeated so
/// often.
struct Own {
    block: Block,
    period: usize,
    count: usize,
}

struct Cpu<'a, G: SimGeometry> {
    rig: &'a Rig<G>,
    random: fastrand::Rng,
    live: Vec<Own>,
}

impl<G: SimGeometry> Cpu<'_, G> {
    fn shape(&mut self) -> (usize, usize) {
        let most = match self.random.usize(..8) {
            0 => 40 * Rig::<G>::PAGE / Subject::<G>::WORD,
            1 => 400,
            _ => 20,
        };
        let period = self.random.usize(1..100.min(most));
        (period, 1 + self.random.usize(..most / period + 1))
    }

    fn step(&mut self) {
        match self.random.usize(..16) {
            0..=7 => self.allocate(),
            8 if !self.live.is_empty() => self.change(),
            9 => {
                // The heap may have nothing to give back.
                let pages = self.random.usize(..20);
                assert!(self.rig.heap.scavenge(pages).is_ok(), "who waits is served");
            }
            _ if !self.live.is_empty() => {
                let own = self.live.swap_remove(self.random.usize(..self.live.len()));
                self.look(&own);
                self.rig.free(own.block);
            }
            _ => {}
        }
    }

    fn allocate(&mut self) {
        let (period, count) = self.shape();
        let map: PointerMap<'_> = PointerMap::from_mask(period, 1);
        let layout = layout(period * count * Subject::<G>::WORD, 8);
        let object = Description::array(&map, count);
        let heap = &self.rig.heap;
        let Ok(memory) = heap.allocate_scannable(layout, &object, AllocFlags::empty()) else {
            // A small part is full.
            return;
        };
        let block = self.rig.vouch(memory, layout);
        let own = Own {
            block,
            period,
            count,
        };
        self.look(&own);
        self.live.push(own);
    }

    fn change(&mut self) {
        let index = self.random.usize(..self.live.len());
        let (period, count) = self.shape();
        let map: PointerMap<'_> = PointerMap::from_mask(period, 1);
        let new = layout(period * count * Subject::<G>::WORD, 8);
        let (object, old) = (Description::array(&map, count), self.live[index].block);
        // SAFETY: the object is live and this CPU's, and the new one is used from now on.
        let memory = unsafe {
            let (heap, flags) = (&self.rig.heap, AllocFlags::empty());
            heap.reallocate_scannable(old.pointer, old.layout, new, &object, flags)
        };
        let Ok(memory) = memory else {
            self.look(&self.live[index]);
            return;
        };
        let block = self.rig.vouch(memory, new);
        self.live[index] = Own {
            block,
            period,
            count,
        };
        self.look(&self.live[index]);
    }

    /// Reads an object of this CPU, whose pointers must be those of its description.
    fn look(&self, own: &Own) {
        let bits = self.rig.heap.bits();
        let object = self.rig.heap.object_at(self.rig.address(own.block));
        let object = object.expect("it is live");
        let mut words = bits.pointer_words(object).expect("it is scannable");
        let stride = own.period * Subject::<G>::WORD;
        for element in 0..own.count {
            assert_eq!(words.next(), Some(element * stride), "{object:?}");
        }
        assert_eq!(words.next(), None, "{object:?}");
    }
}

/// Reads the bitmap anywhere, as long as the other CPUs work.
fn read_everything<G: SimGeometry>(rig: &Rig<G>, end: &AtomicBool) -> usize {
    let window = archipelago_testing::lone_window::<G>(4 * G::GEOMETRY.arena_bytes());
    let mut random = fastrand::Rng::with_seed(99);
    let mut found = 0;
    while !end.load(Relaxed) {
        let bits = rig.heap.bits();
        for _ in 0..20 {
            let address = VirtAddr::new(window.base + random.usize(..window.bytes / 8));
            let object = rig.heap.object_at(address);
            let words = object.and_then(|object| bits.pointer_words(object));
            found += words.into_iter().flatten().count();
            let cursor = bits.at(address).expect("in the space");
            found += usize::from(cursor.forward(random.usize(..100_000)).entry().is_some());
        }
        drop(bits);
        thread::yield_now();
    }
    found
}

/// Pages that are now a span of slots, now one object: what a lookup finds is one or the other.
fn a_lookup_finds_nothing_that_never_was<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let (page, end) = (Rig::<G>::PAGE, AtomicBool::new(false));
    let (slot, large) = (64, 20 * page);
    let first = rig.get(slot, 8);
    let base = rig.address(first).value();
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    rig.free(first);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                let slots: [_; 70] = core::array::from_fn(|_| rig.get(slot, 8));
                slots.into_iter().for_each(|slot| rig.free(slot));
                rig.heap.scavenge(0).expect("not in use");
                rig.free(rig.get(large, 8));
            }
            end.store(true, Relaxed);
        });
        let mut random = fastrand::Rng::with_seed(7);
        while !end.load(Relaxed) {
            let address = VirtAddr::new(base + random.usize(..large));
            let Some(object) = rig.heap.object_at(address) else {
                continue;
            };
            let above = object.base.value() - base;
            let possible = [(0, large), (above & !(slot - 1), slot)];
            assert!(possible.contains(&(above, object.bytes)), "{object:?}");
            let inside = address.bytes_above(object.base);
            assert!(inside.is_some_and(|inside| inside < object.bytes));
        }
    });
    rig.check();
}

fn every_cpu_finds_its_own<G: SimGeometry>() {
    let rig = Rig::<G>::on(
        Sim::builder().build(),
        &[archipelago_testing::lone_window::<G>(
            4 * G::GEOMETRY.arena_bytes(),
        )],
    );
    let (start, end) = (Barrier::new(CPUS), AtomicBool::new(false));
    thread::scope(|scope| {
        let (rig, start, end) = (&rig, &start, &end);
        let reader = scope.spawn(move || read_everything(rig, end));
        let cpus: [_; CPUS] = core::array::from_fn(|number| {
            scope.spawn(move || {
                start.wait();
                let mut cpu = Cpu {
                    rig,
                    random: fastrand::Rng::with_seed(number as u64),
                    live: Vec::new(),
                };
                for _ in 0..STEPS {
                    cpu.step();
                    while cpu.live.len() > 60 {
                        let own = cpu.live.swap_remove(0);
                        rig.free(own.block);
                    }
                }
                for own in cpu.live.drain(..).collect::<Vec<_>>() {
                    cpu.look(&own);
                    rig.free(own.block);
                }
            })
        });
        let ended = cpus.map(thread::ScopedJoinHandle::join);
        end.store(true, Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a CPU stopped");
        assert!(reader.join().is_ok(), "the reader stopped");
    });
    rig.check();
    rig.verify();
    rig.heap
        .for_each_pointer_word(|address| panic!("{address} is in no object"));
}

on_every_geometry!(
    every_cpu_finds_its_own,
    a_lookup_finds_nothing_that_never_was,
);
