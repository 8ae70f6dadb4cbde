//! Several CPUs at once, with every operation of the heap.

use alloc::sync::Arc;
use std::sync::Barrier;
use std::thread;

use archipelago::{AllocError, AllocFlags};
use archipelago_api::Kernel;
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, on_every_geometry};
use fastrand::Rng;

use super::{LARGE, Sent, apart, check, shared, wait};

/// The work of one CPU.
struct Cpu<G: SimGeometry> {
    rig: Arc<Rig<G>>,
    random: Rng,
    live: Vec<(u64, Block)>,
    next_id: u64,
    refused: usize,
}

impl<G: SimGeometry> Cpu<G> {
    fn new(rig: &Arc<Rig<G>>, seed: u64) -> Self {
        Self {
            rig: Arc::clone(rig),
            random: Rng::with_seed(seed),
            live: Vec::new(),
            next_id: seed << 32,
            refused: 0,
        }
    }

    /// A size: mostly small, now and then large, seldom as large as chunks are.
    fn size(&mut self) -> usize {
        let most = match self.random.usize(..16) {
            0 => G::GEOMETRY.chunk_bytes(),
            1..=3 => 2 * LARGE,
            _ => 3000,
        };
        1 + self.random.usize(..most)
    }

    fn flags(&mut self) -> AllocFlags {
        match self.random.usize(..8) {
            0 => AllocFlags::ZEROED,
            1 => AllocFlags::NO_GROW,
            2 => AllocFlags::ATOMIC,
            _ => AllocFlags::empty(),
        }
    }

    fn step(&mut self) {
        match self.random.usize(..32) {
            0..=11 => self.allocate(),
            12..=15 => self.resize(),
            16..=27 => self.free(),
            28 => {
                let interrupts = Hosted::disable_interrupts();
                self.allocate();
                // SAFETY: the state is of the last call, which masked interrupts on this CPU.
                unsafe { Hosted::restore_interrupts(interrupts) };
            }
            29 => assert!(
                self.rig.heap.scavenge(3).is_ok(),
                "who may wait is not told `Busy`"
            ),
            30 => {
                // Every request tries again to fill the reserve.
                self.rig.heap.set_reserve(4).ok();
            }
            _ => {
                let stats = self.rig.heap.stats();
                assert!(stats.owned_pages >= stats.free_pages);
            }
        }
    }

    fn allocate(&mut self) {
        let align = 1 << self.random.usize(..14);
        let (size, flags) = (self.size(), self.flags());
        let result = self.rig.allocate(layout(size, align), flags);
        let Some(block) = self.served(result) else {
            return;
        };
        if flags.contains(AllocFlags::ZEROED) {
            assert_eq!(block.find_dirt(0), None, "it is not zero");
        }
        block.fill(self.next_id);
        self.live.push((self.next_id, block));
        self.next_id += 1;
    }

    fn served(&mut self, result: Result<Block, AllocError>) -> Option<Block> {
        self.refused += usize::from(result.is_err());
        result.ok()
    }

    /// Takes one of the live objects, whose contents have to be unchanged.
    fn take(&mut self) -> Option<(u64, Block)> {
        if self.live.is_empty() {
            return None;
        }
        let (id, block) = self.live.swap_remove(self.random.usize(..self.live.len()));
        let damage = block.find_damage(id, block.layout.size());
        assert_eq!(damage, None, "{block:?} is damaged");
        Some((id, block))
    }

    fn resize(&mut self) {
        let Some((id, old)) = self.take() else {
            return;
        };
        let (size, flags) = (self.size(), self.flags());
        let result = self.rig.resize(old, size, flags);
        let block = self.served(result).unwrap_or(old);
        let kept = old.layout.size().min(block.layout.size());
        assert_eq!(block.find_damage(id, kept), None, "contents move along");
        block.fill(id);
        self.live.push((id, block));
    }

    fn free(&mut self) {
        if let Some((_, block)) = self.take() {
            self.rig.free(block);
        }
    }

    /// Checks all objects and hands them over.
    fn finish(mut self) -> (Vec<Sent>, usize) {
        let mut live = Vec::new();
        while let Some((_, block)) = self.take() {
            live.push(Sent(block));
        }
        (live, self.refused)
    }
}

/// Runs `cpus` CPUs for `steps` steps each, checks, frees all objects and checks again. Returns how
/// many requests were refused.
fn run<G: SimGeometry>(machine: Sim<G>, cpus: u64, steps: usize) -> usize {
    let rig = shared::<G>(machine);
    let workers: Vec<_> = (1..=cpus)
        .map(|seed| {
            let rig = Arc::clone(&rig);
            apart(move || {
                let mut cpu = Cpu::new(&rig, seed);
                for _ in 0..steps {
                    cpu.step();
                }
                cpu.finish()
            })
        })
        .collect();
    let mut refused = 0;
    let mut live = Vec::new();
    for worker in workers {
        let (blocks, count) = wait(&worker, "every CPU comes to its end");
        live.extend(blocks);
        refused += count;
    }
    check(&rig);
    println!("{} objects live, {refused} requests refused", live.len());
    for Sent(block) in live {
        rig.free(block);
    }
    check(&rig);
    refused
}

fn two_cpus_with_all_operations<G: SimGeometry>() {
    run::<G>(Sim::builder().build(), 2, 1500);
}

fn four_cpus_with_all_operations<G: SimGeometry>() {
    run::<G>(Sim::builder().build(), 4, 1000);
}

/// Frames run out again and again, and the source takes none back.
fn four_cpus_short_of_frames<G: SimGeometry>() {
    let frames = 3 * G::GEOMETRY.chunk_pages() / 2;
    let machine = Sim::builder().frames(frames).takes_back(false).build();
    let refused = run::<G>(machine, 4, 1000);
    assert!(refused > 0, "{frames} frames are not enough for all");
}

/// Two CPUs that do nothing but grow, by runs of random length, in step.
fn two_cpus_that_grow_at_once<G: SimGeometry>() {
    let rig = shared::<G>(Sim::builder().build());
    let barrier = Barrier::new(2);
    let rounds = 40;
    let grow = |seed| {
        let mut random = Rng::with_seed(seed);
        let mut live = Vec::new();
        for _ in 0..rounds {
            let pages = 1 + random.usize(..G::GEOMETRY.chunk_pages() / 4);
            barrier.wait();
            let block = rig.get(LARGE + pages * Rig::<G>::PAGE, 8);
            block.fill(seed);
            live.push(Sent(block));
            // Every other run stays, so that the next is served by growth.
            if live.len() % 2 == 0 {
                rig.free(live.swap_remove(0).0);
            }
        }
        live
    };
    let live: Vec<_> = thread::scope(|scope| {
        let other = scope.spawn(|| grow(2));
        let mut live: Vec<_> = grow(1).into_iter().map(|sent| (1, sent)).collect();
        let others = other.join().expect("no panic");
        live.extend(others.into_iter().map(|sent| (2, sent)));
        live
    });
    check(&rig);
    for (seed, Sent(block)) in live {
        assert_eq!(block.find_damage(seed, block.layout.size()), None);
        rig.free(block);
    }
    check(&rig);
}

on_every_geometry!(
    two_cpus_with_all_operations,
    four_cpus_with_all_operations,
    four_cpus_short_of_frames,
    two_cpus_that_grow_at_once,
);
