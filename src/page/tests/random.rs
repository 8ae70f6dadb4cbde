//! Random operations, each compared with the model, and the properties that hold of any order of
//! them.

use alloc::vec::Vec;

use fastrand::Rng;

use super::{Fixture, chunk, places, run};
use crate::base::PageRun;
use crate::testing::TestGeometry;

on_every_geometry! {
    the_model_gives_the_same_answers,
    the_order_of_growth_does_not_matter,
    an_allocation_fails_only_if_no_run_exists,
    an_aligned_run_is_found_if_one_exists,
    freeing_undoes_allocating,
}

/// Chunks that the tests spread over.
const CHUNKS: usize = 20;

/// The runs that make up a heap in `CHUNKS` chunks from chunk `base`: whole chunks, parts of
/// chunks, some adjacent and some not, on both sides of the bounds of tree nodes, and, with the
/// right base, of the space.
fn pieces<G: TestGeometry>(base: usize) -> Vec<PageRun> {
    let c = chunk::<G>();
    let at = |chunk: usize, first: usize, count: usize| run((base + chunk) * c + first, count);
    if cfg!(miri) {
        // The same bounds, with few pages between them.
        let few = c.min(24);
        return alloc::vec![
            at(0, c - few, few),
            at(1, 0, few),
            at(7, c - few / 2, few),
            at(9, 1, 5),
            at(CHUNKS - 1, c - few, few),
        ];
    }
    alloc::vec![
        at(0, 0, c),
        at(1, 0, c + c / 2),
        at(2, c / 2, 3),
        at(2, c - 2, 2),
        at(4, 0, c),
        at(6, 1, c - 2),
        at(7, 0, c),
        at(8, 0, c / 4),
        at(8, c / 2, c / 2),
        at(9, 0, c),
        at(CHUNKS - 2, c - 1, 1),
        at(CHUNKS - 1, 0, c),
    ]
}

/// How many rounds, or steps, the tests make: few under Miri.
fn times(usual: usize, miri: usize) -> usize {
    if cfg!(miri) { miri } else { usual }
}

fn the_model_gives_the_same_answers<G: TestGeometry>() {
    for (seed, base) in places::<G>(CHUNKS).into_iter().enumerate() {
        for round in 0..times(4, 1) {
            let seed = (round * 3 + seed) as u64;
            let mut actor = Actor::<G>::new(seed, pieces::<G>(base));
            for step in 0..times(500, 16) {
                actor.step();
                if step % times(1, 8) == 0 {
                    actor.heap.check();
                }
            }
            actor.give_all_back();
        }
    }
}

/// A user of a page layer: the runs that it may still grow by, and those that it holds.
struct Actor<G> {
    random: Rng,
    heap: Fixture<G>,
    ungrown: Vec<PageRun>,
    live: Vec<PageRun>,
    bounds: PageRun,
}

impl<G: TestGeometry> Actor<G> {
    fn new(seed: u64, mut ungrown: Vec<PageRun>) -> Self {
        let mut random = Rng::with_seed(seed);
        let first = ungrown.iter().map(|run| run.first).min();
        let end = ungrown.iter().map(|run| run.end()).max();
        let bounds = PageRun::between(
            first.expect("there are pieces"),
            end.expect("there are pieces"),
        );
        random.shuffle(&mut ungrown);
        let mut heap = Fixture::new();
        heap.grow(ungrown.pop().expect("there are pieces"));
        Self {
            random,
            heap,
            ungrown,
            live: Vec::new(),
            bounds,
        }
    }

    /// Sizes that kernels ask for: mostly a page, sometimes more than a chunk.
    fn size(&mut self) -> usize {
        match self.random.usize(..10) {
            0..=4 => 1,
            5..=7 => 1 + self.random.usize(..8),
            8 => 1 + self.random.usize(..chunk::<G>()),
            _ => 1 + self.random.usize(..3 * chunk::<G>()),
        }
    }

    fn somewhere(&mut self) -> usize {
        self.bounds.first.0 + self.random.usize(..self.bounds.count)
    }

    fn step(&mut self) {
        match self.random.usize(..32) {
            0 => {
                if let Some(run) = self.ungrown.pop() {
                    self.heap.grow(run);
                }
            }
            1..=8 => {
                let count = self.size();
                let taken = self.heap.alloc(count);
                self.keep(taken.map(|taken| taken.run));
            }
            9..=11 => {
                let (count, align) = (self.size(), 1 << self.random.usize(..12));
                let taken = self.heap.alloc_aligned(count, align);
                self.keep(taken.map(|taken| taken.run));
            }
            12 => {
                let asked = run(self.somewhere(), 1 + self.random.usize(..6));
                let taken = self.heap.take(asked);
                self.keep(taken.map(|taken| taken.run));
            }
            13..=14 => self.extend(),
            15..=23 => self.give_back(),
            24..=26 => self.work_ahead(),
            27 => self.misuse(),
            28 => self.scavenge(),
            _ => {
                let count = 1 + self.random.usize(..2 * chunk::<G>());
                let page = self.somewhere();
                let count = count.min(self.bounds.end().0 - page);
                self.heap.query(page, count);
            }
        }
    }

    /// Keeps a run that was taken; mostly its memory arrives, sometimes that fails.
    fn keep(&mut self, taken: Option<PageRun>) {
        let Some(run) = taken else { return };
        if self.random.usize(..8) == 0 {
            self.heap.free(run).expect("just taken");
            return;
        }
        if self.random.usize(..4) != 0 {
            self.heap.made_ready(run).expect("just taken");
        }
        self.live.push(run);
    }

    fn extend(&mut self) {
        let Some(last) = self.live.last_mut() else {
            return;
        };
        let more = 1 + self.random.usize(..4);
        if self.heap.take(run(last.end().0, more)).is_some() {
            last.count += more;
        }
    }

    /// Frees a live run, or a part of it from either end or out of its middle.
    fn give_back(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let victim = self.live.swap_remove(self.random.usize(..self.live.len()));
        let first = self.random.usize(..2) * self.random.usize(..victim.count);
        let rest = victim.count - first;
        let count = if self.random.usize(..2) == 0 {
            rest
        } else {
            1 + self.random.usize(..rest)
        };
        let freed = run(victim.first.0 + first, count);
        self.heap.free(freed).expect("it is live");
        for kept in [
            PageRun::between(victim.first, freed.first),
            PageRun::between(freed.end(), victim.end()),
        ] {
            if !kept.is_empty() {
                self.live.push(kept);
            }
        }
    }

    /// Allocates a run, and takes pages above it to make them Ready together.
    fn work_ahead(&mut self) {
        let count = 1 + self.random.usize(..10);
        let Some(taken) = self.heap.alloc(count) else {
            return;
        };
        let most = self.random.usize(..20);
        let above = self.heap.take_scavenged(taken.run.end().0, most);
        let all = run(taken.run.first.0, count + above);
        self.heap.made_ready(all).expect("taken");
        let above = PageRun::between(taken.run.end(), all.end());
        if !above.is_empty() {
            self.heap.free(above).expect("taken");
        }
        self.keep(Some(taken.run));
    }

    /// Frees a run that may not be taken. The fixture checks that it is refused then; a run that
    /// was taken is freed in the model, too.
    fn misuse(&mut self) {
        let asked = run(self.somewhere(), self.random.usize(..4));
        if !self.heap.all(asked, |page| !page.free) || asked.is_empty() {
            let refused = self.heap.free(asked);
            refused.expect_err("a page of the run is not taken");
        }
    }

    /// Takes the highest pages that are Ready and gives them back without memory.
    fn scavenge(&mut self) {
        let end = self.bounds.end();
        let max = 1 + self.random.usize(..chunk::<G>());
        let ready = self
            .heap
            .pages
            .highest_ready(&mut self.heap.state, end, max);
        let Some(ready) = ready else { return };
        self.heap.take(ready).expect("free");
        self.heap.set_scavenged(ready).expect("taken");
        self.heap.free(ready).expect("taken");
    }

    /// Afterwards the heap is as if nothing had been taken.
    fn give_all_back(mut self) {
        for run in core::mem::take(&mut self.live) {
            self.heap.free(run).expect("it is live");
        }
        self.heap.check();
        assert!(self.heap.model.values().all(|page| page.free));
    }
}

fn the_order_of_growth_does_not_matter<G: TestGeometry>() {
    for base in places::<G>(CHUNKS) {
        let mut random = Rng::with_seed(base as u64);
        let mut answers: Vec<Vec<Option<usize>>> = Vec::new();
        for _ in 0..times(6, 2) {
            let mut pieces = pieces::<G>(base);
            random.shuffle(&mut pieces);
            let mut heap = Fixture::<G>::new();
            for piece in pieces {
                heap.grow(piece);
                heap.check();
            }
            let c = chunk::<G>();
            let sizes = [1, c, 2, c / 2, c + 1, 3, 1, 2 * c, c / 4];
            let first = |count| heap.alloc(count).map(|taken| taken.run.first.0);
            answers.push(sizes.map(first).to_vec());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }
}

fn an_allocation_fails_only_if_no_run_exists<G: TestGeometry>() {
    let base = places::<G>(CHUNKS)[2];
    let c = chunk::<G>();
    let counts: &[usize] = if cfg!(miri) {
        &[9, 30]
    } else {
        &[1, 2, 3, 5, c / 4, c / 2, c - 1, c, c + 1, c + c / 2, 2 * c]
    };
    for count in counts.iter().copied() {
        let mut heap = Fixture::<G>::new();
        for piece in pieces::<G>(base) {
            heap.grow(piece);
        }
        while heap.alloc(count).is_some() {}
        heap.check();
        assert!(heap.first_fit(count, 1).is_none());
        assert!(heap.pages.largest_run(&heap.state) < count);
    }
}

fn an_aligned_run_is_found_if_one_exists<G: TestGeometry>() {
    let c = chunk::<G>();
    let arena = G::GEOMETRY.arena_pages();
    let (aligns, counts): (&[usize], &[usize]) = if cfg!(miri) {
        (&[2, 2 * arena], &[3])
    } else {
        (
            &[
                1,
                2,
                16,
                c / 2,
                c,
                2 * c,
                4 * c,
                arena,
                2 * arena,
                8 * arena,
            ],
            &[1, 3, c / 2 + 1, c + 1],
        )
    };
    for base in places::<G>(CHUNKS) {
        for align in aligns {
            for count in counts {
                let mut heap = Fixture::<G>::new();
                for piece in pieces::<G>(base) {
                    heap.grow(piece);
                }
                for _ in 0..times(30, 2) {
                    if heap.alloc_aligned(*count, *align).is_none() {
                        break;
                    }
                    // The next free page is no longer aligned.
                    heap.alloc(1);
                }
                heap.check();
            }
        }
    }
}

fn freeing_undoes_allocating<G: TestGeometry>() {
    let base = places::<G>(CHUNKS)[1];
    let mut random = Rng::with_seed(11);
    let mut heap = Fixture::<G>::new();
    for piece in pieces::<G>(base) {
        heap.grow(piece);
    }
    for _ in 0..times(60, 4) {
        let keep = 1 + random.usize(..chunk::<G>() / 4);
        heap.alloc(keep);
        let before = heap.model.clone();
        let count = 1 + random.usize(..2 * chunk::<G>());
        if let Some(taken) = heap.alloc(count) {
            heap.free(taken.run).expect("just taken");
        }
        assert_eq!(heap.model, before);
        heap.check();
    }
}
