//! What a table of classes costs: the recorded programs, and objects of random size, in a heap
//! without memory.

mod heap;
mod pages;

use anyhow::{Context as _, Result, bail};
use archipelago_traces::Block;
use archipelago_traces::trace::{Operation, Trace, Workspace, blocks_needed, validate};

use super::generate::Classes;
use crate::project;
use heap::{Heap, Object, Policy};

/// The recorded programs.
const PROGRAMS: [&str; 4] = ["git", "jq", "rustc", "sqlite"];

/// More pages than any program takes.
const NO_LIMIT: usize = 1 << 20;
/// Pages of the window that is filled by objects of random size: 16 MiB of 4 KiB.
const RANDOM_PAGES: usize = 4096;
/// The largest of those objects, and their alignment.
const RANDOM_SIZES: u32 = 128;
const RANDOM_ALIGN: u32 = 8;

const PLAIN: Policy = Policy {
    page_cache: false,
    keep_empty: false,
    always_move: false,
};
const POLICIES: [(&str, Policy); 4] = [
    ("plain", PLAIN),
    (
        "with a page cache",
        Policy {
            page_cache: true,
            ..PLAIN
        },
    ),
    (
        "empty spans kept",
        Policy {
            keep_empty: true,
            ..PLAIN
        },
    ),
    (
        "reallocation moves",
        Policy {
            always_move: true,
            ..PLAIN
        },
    ),
];

/// Prints what `table` costs under each policy.
///
/// # Errors
///
/// A trace cannot be read.
pub(super) fn print(table: &Classes) -> Result<()> {
    println!("\nframes by live bytes at the live peak; live by Ready bytes of random sizes");
    print!("{:20}", "");
    for program in PROGRAMS {
        print!("{program:>9}");
    }
    println!("{:>9}{:>9}", "filled", "refilled");
    for (name, policy) in POLICIES {
        print!("{name:20}");
        for program in PROGRAMS {
            print!("{:9.4}", overhead(table, policy, program)?);
        }
        let (filled, refilled) = random(table, policy);
        println!("{filled:9.4}{refilled:9.4}");
    }
    Ok(())
}

/// A live block.
#[derive(Clone, Copy, Debug)]
struct Live {
    object: Object,
    size: u32,
    align: u32,
}

/// Frames by live bytes at the live peak of a recorded program.
fn overhead(table: &Classes, policy: Policy, program: &str) -> Result<f64> {
    let path = project::root().join(format!("tools/traces/recorded/{program}.trace.gz"));
    let file = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut workspace = Workspace::new();
    let count = usize::try_from(blocks_needed(&file, &mut workspace)?)?;
    let summary = validate(&file, &mut workspace, &mut vec![Block::UNUSED; count])?;
    let mut trace = Trace::new(&file, &mut workspace)?;
    let mut heap = Heap::new(table, policy, NO_LIMIT);
    let mut blocks: Vec<Option<Live>> = vec![None; count];
    let mut live_bytes = 0;
    while let Some(record) = trace.read()? {
        let block = &mut blocks[record.id as usize];
        let before = size_of(*block);
        *block = step(&mut heap, *block, record.operation);
        live_bytes = live_bytes + size_of(*block) - before;
        if live_bytes == summary.peak_live_bytes {
            let frames = heap.frames().all();
            return Ok(ratio(frames * table.page_bytes as usize, live_bytes));
        }
    }
    bail!("{program} does not reach its peak")
}

fn size_of(block: Option<Live>) -> u64 {
    block.map_or(0, |live| live.size.into())
}

/// The block after an operation; `None` if it is freed.
fn step(heap: &mut Heap<'_>, before: Option<Live>, operation: Operation) -> Option<Live> {
    match (operation, before) {
        (
            Operation::Allocate {
                size, log2_align, ..
            },
            _,
        ) => {
            let align = 1 << log2_align;
            let object = heap.allocate(size, align)?;
            Some(Live {
                object,
                size,
                align,
            })
        }
        (Operation::Reallocate { size }, Some(live)) => {
            let object = heap.reallocate(live.object, size, live.align)?;
            Some(Live {
                object,
                size,
                ..live
            })
        }
        (Operation::Reallocate { .. } | Operation::Free, before) => {
            heap.free(before?.object);
            None
        }
    }
}

/// Objects of random size, allocated until that fails: live by Ready bytes. Then the same after a
/// random half of them was freed and others were allocated instead.
fn random(table: &Classes, policy: Policy) -> (f64, f64) {
    // Metadata comes out of the same window; the first round finds out how much.
    let (_, _, metadata) = random_in(table, policy, RANDOM_PAGES);
    let (filled, refilled, _) = random_in(table, policy, RANDOM_PAGES - metadata);
    (filled, refilled)
}

/// As [`random`], with so many pages for objects, and with the pages of metadata.
fn random_in(table: &Classes, policy: Policy, pages: usize) -> (f64, f64, usize) {
    let mut heap = Heap::new(table, policy, pages);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut objects = Vec::new();
    let filled = fill(&mut heap, &mut random, &mut objects);
    let (kept, freed): (Vec<_>, Vec<_>) = objects.iter().partition(|_| random.below(2) == 0);
    for (object, _) in freed {
        heap.free(object);
    }
    objects = kept;
    let refilled = fill(&mut heap, &mut random, &mut objects);
    (filled, refilled, heap.frames().metadata)
}

/// Allocates until that fails; returns live by Ready bytes.
fn fill(heap: &mut Heap<'_>, random: &mut Random, objects: &mut Vec<(Object, u32)>) -> f64 {
    loop {
        let size = 1 + random.below(RANDOM_SIZES);
        let Some(object) = heap.allocate(size, RANDOM_ALIGN) else {
            break;
        };
        objects.push((object, size));
    }
    let live: u64 = objects.iter().map(|&(_, size)| u64::from(size)).sum();
    1.0 / ratio(heap.ready_bytes(), live)
}

/// The xorshift generator.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // A remainder by a `u32` is one.
        u32::try_from(self.0 % u64::from(limit)).unwrap_or_default()
    }
}

/// Bytes by bytes, which are far below 2^53 and so exact.
fn ratio(bytes: usize, live: u64) -> f64 {
    bytes as f64 / live as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes::generate::generate;

    /// What the heap is held to, in parts of live bytes.
    const BUDGETS: [f64; 4] = [1.125, 1.13, 1.08, 1.28];
    const FILLED: f64 = 0.9;
    const REFILLED: f64 = 0.85;

    #[test]
    fn recorded_programs_stay_within_their_budgets() {
        let table = generate(4096);
        for (name, policy) in [POLICIES[0], POLICIES[1]] {
            for (program, budget) in PROGRAMS.into_iter().zip(BUDGETS) {
                let overhead = overhead(&table, policy, program).unwrap();
                assert!(overhead <= budget, "{program}, {name}: {overhead}");
            }
        }
    }

    #[test]
    fn random_sizes_fill_the_window() {
        let (filled, refilled) = random(&generate(4096), PLAIN);
        assert!(filled >= FILLED, "{filled}");
        assert!(refilled >= REFILLED, "{refilled}");
    }

    #[test]
    fn powers_of_two_take_exactly_their_size() {
        const PAGES: u32 = 64;
        let table = generate(4096);
        for size in (3..=12).map(|shift| 1 << shift) {
            let mut heap = Heap::new(&table, PLAIN, NO_LIMIT);
            for _ in 0..PAGES * 4096 / size {
                heap.allocate(size, size).unwrap();
            }
            assert_eq!(heap.frames().objects, PAGES as usize, "{size}");
        }
    }
}
