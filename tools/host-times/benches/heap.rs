//! Host times of requests, beside other heaps: `cargo bench --package archipelago-host-times`.
//!
//! The simulated machine lies between the heap and its memory, so these times only serve to compare
//! one version of the heap with the next. The figures in the README are counted, not timed.
#![expect(
    missing_docs,
    reason = "the macros of criterion write functions without"
)]
#![expect(
    clippy::expect_used,
    reason = "a measurement stops at the first surprise"
)]

use core::alloc::Layout;
use core::hint::black_box;

use archipelago_bench::{Archipelago, Block, LinkedList, Rlsf, Subject, Talc};
#[cfg(not(target_pointer_width = "64"))]
use archipelago_sim::Plain32 as Native;
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64 as Native;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Memory that each heap has.
const MEMORY: usize = 64 << 20;
/// Objects that are live at once, so that a free is not of the object allocated last.
const LIVE: usize = 1000;

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a small layout")
}

/// Allocates and frees in turn, first in first out.
fn turns<S: Subject>(criterion: &mut Criterion, mut subject: S) {
    let mut group = criterion.benchmark_group("allocate and free");
    for bytes in [16, 64, 200, 1024, 4096, 16 << 10] {
        let layout = layout(bytes);
        let live: Vec<_> = (0..LIVE)
            .map(|_| subject.allocate(layout).expect("there is memory"))
            .collect();
        let mut ring = live;
        let mut next = 0;
        group.bench_function(BenchmarkId::new(S::NAME, bytes), |bencher| {
            bencher.iter(|| {
                // SAFETY: the object was allocated with this layout and is replaced at once.
                unsafe { subject.free(ring[next], layout) };
                ring[next] = black_box(subject.allocate(layout).expect("there is memory"));
                next = (next + 1) % LIVE;
            });
        });
        for pointer in ring {
            // SAFETY: as above; the ring is gone.
            unsafe { subject.free(pointer, layout) };
        }
    }
    group.finish();
}

fn heaps(criterion: &mut Criterion) {
    turns(criterion, Archipelago::<Native>::with_memory(MEMORY));
    turns(criterion, Talc::new(Block::new(MEMORY)));
    turns(criterion, Rlsf::new(Block::new(MEMORY)));
    turns(criterion, LinkedList::new(Block::new(MEMORY)));
}

criterion_group!(benches, heaps);
criterion_main!(benches);
