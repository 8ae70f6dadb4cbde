//! Measures the page layer alone: instructions to find, and to take and free, a run of n pages, in
//! heaps of 256 MiB to 1 TiB.
//!
//! Only tables have memory. No page that they describe is ever touched, so a terabyte fits.
#![no_std]
#![no_main]

use archipelago_inside::testing::{Geometry, PageLayer, Random, TestGeometry};
use archipelago_qemu::{
    Boot, HEAP_WINDOW, KernelHeap, Verdict, count_instructions, entry, exit, println, start_heap,
};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

struct X86;

impl TestGeometry for X86 {
    const GEOMETRY: Geometry = archipelago_x86_64::GEOMETRY;
}

/// The page that the heap begins with: neither a chunk nor a node of the tree of summaries begins
/// there.
const FIRST: usize = 0x2_0000_0000 + 5 * 512 + 64;

/// Sizes of a heap, in pages.
const SIZES: [(&str, usize); 4] = [
    ("256~MiB", 1 << 16),
    ("1~GiB", 1 << 18),
    ("16~GiB", 1 << 22),
    ("1~TiB", 1 << 28),
];

/// Pages of a run.
const RUNS: [usize; 8] = [1, 2, 16, 64, 65, 512, 513, 5000];

/// A state of the heap: which pages of every 64 are taken. The state repeats itself every
/// [`PERIOD`] groups of 64, so that heaps of all sizes offer runs of the same lengths and the
/// figures compare the search, not the luck.
type State = (&'static str, fn(&mut Random) -> u64);

/// 64 MiB of blocks of 64 pages.
const PERIOD: usize = 256;

const STATES: [State; 3] = [
    ("full~but~one~run", |_| u64::MAX),
    ("every~other~page", |_| 0x5555_5555_5555_5555),
    ("random~pages", Random::bits),
];

/// Pages at the end that are taken in any state, but for the run that is measured.
const TAIL: usize = 8192;

struct Bed {
    layer: PageLayer<X86>,
    name: &'static str,
    pages: usize,
}

fn main(boot: Boot) -> ! {
    // The tables of the largest heap are allocated from the global allocator.
    start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    for (name, pages) in SIZES {
        let mut layer = PageLayer::new();
        if let Err(reason) = layer.grow(FIRST, pages) {
            panic!("{name}: {reason}");
        }
        println!("# {name}: {} bytes of tables", layer.metadata_bytes());
        let mut bed = Bed { layer, name, pages };
        for run in RUNS {
            bed.measure("empty", run);
        }
        for state in STATES {
            bed.measure_state(state);
        }
    }
    exit(Verdict::Pass)
}

impl Bed {
    /// Puts a heap whose pages are all free in a state with a run at the end, and frees all of it
    /// again.
    fn measure_state(&mut self, (state, pattern): State) {
        let end = FIRST + self.pages;
        let mut random = Random::new(5);
        let repeated: [u64; PERIOD] = core::array::from_fn(|_| pattern(&mut random));
        let mut blocks = repeated.iter().cycle();
        self.layer.take_pattern(FIRST, self.pages - TAIL, || {
            blocks.next().copied().unwrap_or(0)
        });
        self.layer.take_pattern(end - TAIL, TAIL, || u64::MAX);
        let mut free = 0;
        for run in RUNS {
            assert!(self.layer.free(end - run, run - free), "the tail is taken");
            free = run;
            self.measure(state, run);
        }
        self.layer.take_pattern(FIRST, self.pages, || u64::MAX);
        assert!(self.layer.free(FIRST, self.pages), "every page is taken");
    }

    fn measure(&mut self, state: &str, run: usize) {
        self.search_from_the_start();
        let (find, found) = count_instructions(|| self.layer.find(run));
        let (take, taken) = count_instructions(|| self.layer.alloc(run));
        let Some(page) = found else {
            panic!("{}, {state}: no run of {run} pages", self.name);
        };
        assert_eq!(taken.map(|taken| taken.page), found, "the run was found");
        let (free, freed) = count_instructions(|| self.layer.free(page, run));
        assert!(freed, "the run was taken");
        for (what, instructions) in [("find", find), ("take", take), ("free", free)] {
            println!(
                "figure runs {what},{state},{run} {} {instructions}",
                self.name
            );
        }
    }

    /// Puts the search address to the lowest page, as a free of that page does.
    fn search_from_the_start(&mut self) {
        if self.layer.take(FIRST, 1).is_some() {
            self.layer.free(FIRST, 1);
        } else {
            self.layer.free(FIRST, 1);
            self.layer.take(FIRST, 1);
        }
    }
}
