//! The rows of the table: which requests are made, and which of them are measured.

use core::alloc::Layout;
use core::mem;
use std::path::Path;

use archipelago_traces::trace::{Operation, Trace, Workspace, blocks_needed};
use fastrand::Rng;

use crate::action::Action;
use crate::workload::Workload;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A block of 64 bytes, allocated and freed, with ten live.
    Pair,
    /// Blocks of random sizes up to `most` bytes come and go, `live` of them at once: from an empty
    /// heap on, or later.
    Churn {
        /// The name.
        name: &'static str,
        /// Bytes of a block at most.
        most: usize,
        /// Live blocks.
        live: usize,
        /// Whether the heap has seen as many requests before.
        is_warm: bool,
    },
    /// Allocating blocks of 64 bytes, one after the other.
    BatchAllocate,
    /// Freeing them in the order of their allocation.
    BatchFreeFifo,
    /// Freeing them in a random order.
    BatchFreeRandom,
    /// Freeing them on another thread.
    Remote,
    /// A random one of 10,000 blocks makes place for one of 16 B to 1 KiB, a power of two.
    Churn10k,
    /// All requests of a recorded program.
    Trace(&'static str),
    /// Every other of many blocks is freed, then the rest.
    Fragments,
}

/// The number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As many as the figures are for.
    Full,
    /// A hundredth of the fragments, for heaps that search lists.
    Reduced,
    /// A few, for tests.
    Short,
}

impl Row {
    /// All rows, in their order.
    pub const ALL: [Self; 17] = [
        Self::Pair,
        Self::churn("c300", 200, 300, false),
        Self::churn("c5000", 200, 5000, false),
        Self::churn("c3000", 3000, 5000, false),
        Self::churn("c300-warm", 200, 300, true),
        Self::churn("c5000-warm", 200, 5000, true),
        Self::churn("c3000-warm", 3000, 5000, true),
        Self::BatchAllocate,
        Self::BatchFreeFifo,
        Self::BatchFreeRandom,
        Self::Remote,
        Self::Churn10k,
        Self::Trace("sqlite"),
        Self::Trace("git"),
        Self::Trace("rustc"),
        Self::Trace("jq"),
        Self::Fragments,
    ];

    const fn churn(name: &'static str, most: usize, live: usize, is_warm: bool) -> Self {
        Self::Churn {
            name,
            most,
            live,
            is_warm,
        }
    }

    /// The row of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.name() == name)
    }

    /// The row's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Churn { name, .. } | Self::Trace(name) => name,
            Self::BatchAllocate => "batch-alloc",
            Self::BatchFreeFifo => "batch-free-fifo",
            Self::BatchFreeRandom => "batch-free-random",
            Self::Remote => "remote",
            Self::Churn10k => "churn10k",
            Self::Fragments => "frag",
        }
    }

    /// The row in a sentence.
    #[must_use]
    pub fn about(self) -> String {
        match self {
            Self::Pair => "a pair of alloc and free of 64 B, with ten live".to_owned(),
            Self::Churn {
                most,
                live,
                is_warm,
                ..
            } => {
                let when = if is_warm {
                    "the next 60,000 requests"
                } else {
                    "60,000 requests from an empty heap on"
                };
                format!("1 to {most} B, {live} live: {when}")
            }
            Self::BatchAllocate => "alloc of 10,000 blocks of 64 B".to_owned(),
            Self::BatchFreeFifo => "free of 10,000 blocks, first in, first out".to_owned(),
            Self::BatchFreeRandom => "free of 10,000 blocks in a random order".to_owned(),
            Self::Remote => "free of 10,000 blocks by another thread, in a random order".to_owned(),
            Self::Churn10k => "16 B to 1 KiB, 10,000 live, one after another replaced".to_owned(),
            Self::Trace(name) => format!("all requests of {name}'s trace"),
            Self::Fragments => {
                "every other of 1,000,000 blocks of 64 B freed, then the rest: one free".to_owned()
            }
        }
    }

    /// Makes the requests of the row. Traces are those of `tools/traces/recorded`.
    ///
    /// # Panics
    /// If a trace cannot be read.
    #[must_use]
    pub fn make(self, scale: Scale) -> Workload {
        let few = |full: usize, short: usize| match scale {
            Scale::Full | Scale::Reduced => full,
            Scale::Short => short,
        };
        match self {
            Self::Pair => pair(few(30_000, 50)),
            Self::Churn {
                most,
                live,
                is_warm,
                ..
            } => churn(most, few(live, 20), few(60_000, 300), is_warm),
            Self::BatchAllocate => batch(few(10_000, 100), |_| Vec::new()),
            Self::BatchFreeFifo => batch(few(10_000, 100), |count| (0..count).collect()),
            Self::BatchFreeRandom => batch(few(10_000, 100), shuffled),
            Self::Remote => batch(few(10_000, 100), shuffled).passed_on(),
            Self::Churn10k => churn10k(few(10_000, 50), few(60_000, 300)),
            Self::Trace(name) => trace(name, few(usize::MAX, 500)),
            Self::Fragments => match scale {
                Scale::Full => fragments(500_000),
                Scale::Reduced => fragments(5000),
                Scale::Short => fragments(100),
            },
        }
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

const BLOCK: Layout = Layout::new::<[u64; 8]>();

/// Blocks for the first `count` slots.
fn blocks(count: usize) -> Vec<Action> {
    let allocate = |slot| Action::allocate(slot, BLOCK, false);
    (0..count).map(allocate).collect()
}

fn pair(pairs: usize) -> Workload {
    let slot = 10;
    let one = [
        Action::allocate(slot, BLOCK, false),
        Action::free(slot, BLOCK),
    ];
    let mut before = blocks(slot);
    before.extend_from_slice(&one.repeat(pairs.min(1000)));
    Workload::new(before, one.repeat(pairs))
}

/// The slots up to `count` in a random order.
fn shuffled(count: usize) -> Vec<usize> {
    let mut slots: Vec<_> = (0..count).collect();
    Rng::with_seed(3).shuffle(&mut slots);
    slots
}

/// The allocation of a batch, or its frees, which `order` names.
fn batch(count: usize, order: impl Fn(usize) -> Vec<usize>) -> Workload {
    let free = |slot| Action::free(slot, BLOCK);
    let frees: Vec<_> = order(count).into_iter().map(free).collect();
    if frees.is_empty() {
        return Workload::new(Vec::new(), blocks(count));
    }
    Workload::new(blocks(count), frees)
}

fn fragments(pairs: usize) -> Workload {
    let count = 2 * pairs;
    let slots = (0..count).step_by(2).chain((1..count).step_by(2));
    let frees = slots.map(|slot| Action::free(slot, BLOCK)).collect();
    Workload::new(blocks(count), frees)
}

/// Requests that keep `live` blocks live: a random one is freed, and the next one allocated in its
/// place. Three of four are aligned to 8 bytes, three of four of the others to 16, and so on.
fn churn(most: usize, live: usize, count: usize, is_warm: bool) -> Workload {
    let mut random = Rng::with_seed(1);
    let mut slots: Vec<Option<Layout>> = vec![None; live];
    let mut empty: Vec<_> = (0..live).rev().collect();
    let mut next = || match empty.pop() {
        Some(slot) => {
            let align = 8 << (random.u16(..).trailing_zeros() / 2);
            let layout = layout(random.usize(1..=most), align);
            slots[slot] = Some(layout);
            Action::allocate(slot, layout, false)
        }
        None => {
            let slot = random.usize(..live);
            empty.push(slot);
            Action::free(slot, slots[slot].take().expect("all are live"))
        }
    };
    let mut some = || (0..count).map(|_| next()).collect::<Vec<_>>();
    let first = some();
    if is_warm {
        Workload::new(first, some())
    } else {
        Workload::new(Vec::new(), first)
    }
}

fn churn10k(live: usize, count: usize) -> Workload {
    let mut random = Rng::with_seed(2);
    let sized = |random: &mut Rng| layout(16 << random.usize(..7), 8);
    let mut slots: Vec<_> = (0..live).map(|_| sized(&mut random)).collect();
    let place = |(slot, layout): (usize, &Layout)| Action::allocate(slot, *layout, false);
    let before = slots.iter().enumerate().map(place).collect();
    let mut replace = || {
        let (slot, new) = (random.usize(..live), sized(&mut random));
        let old = mem::replace(&mut slots[slot], new);
        [Action::free(slot, old), Action::allocate(slot, new, false)]
    };
    let measured = (0..count / 2).flat_map(|_| replace()).collect();
    Workload::new(before, measured)
}

/// The first `most` requests of a recorded program.
fn trace(name: &str, most: usize) -> Workload {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/recorded");
    let file = std::fs::read(traces.join(format!("{name}.trace.gz"))).expect("a recorded trace");
    let mut workspace = Workspace::new();
    let blocks = blocks_needed(&file, &mut workspace).expect("a sound trace");
    let mut live = vec![Layout::new::<u8>(); usize::try_from(blocks).expect("few")];
    let mut trace = Trace::new(&file, &mut workspace).expect("a sound trace");
    let mut actions = Vec::new();
    while actions.len() < most {
        let Some(record) = trace.read().expect("a sound trace") else {
            break;
        };
        let slot = record.id as usize;
        // A block of no bytes is asked for as one byte.
        let bytes = |size: u32| usize::try_from(size.max(1)).expect("32 bits");
        actions.push(match record.operation {
            Operation::Allocate {
                size,
                log2_align,
                zeroed,
            } => {
                live[slot] = layout(bytes(size), 1 << log2_align);
                Action::allocate(slot, live[slot], zeroed)
            }
            Operation::Reallocate { size } => {
                let old = live[slot];
                live[slot] = layout(bytes(size), old.align());
                Action::reallocate(slot, old, bytes(size))
            }
            Operation::Free => Action::free(slot, live[slot]),
        });
    }
    Workload::new(Vec::new(), actions)
}
