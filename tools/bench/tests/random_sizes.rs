//! The share of memory that is live when it is full of objects of random sizes: at least its
//! bounds, whatever the sizes are.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

use archipelago_bench::{Archipelago, fill_from};
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{Plain32, SimGeometry};

/// Bytes of the memory, metadata included.
const MEMORY: usize = 16 << 20;

/// Seeds of the sizes; `cargo xtask bench` prints the figures of the first.
const SEEDS: [u64; 4] = [16, 1, 2, 3];

/// The least share that is live when the memory is full, and when it is full again after a random
/// half of the objects was freed.
const FILLED: f64 = 0.9;
const REFILLED: f64 = 0.85;

fn objects_fill<G: SimGeometry>() {
    for seed in SEEDS {
        let mut heap = Archipelago::<G>::with_memory(MEMORY);
        let (filled, refilled) = fill_from(seed, &mut heap, true);
        assert!(
            filled.memory > MEMORY / 16 * 15,
            "seed {seed}: {filled:?}: most of it was used"
        );
        // Of all memory, and so of the Ready bytes too, of which there are no more.
        let share = filled.share_of(MEMORY);
        assert!(share >= FILLED, "seed {seed}: {filled:?}");
        let refilled = refilled.expect("asked for");
        let share = refilled.share_of(MEMORY);
        assert!(share >= REFILLED, "seed {seed}: {refilled:?}");
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn random_sizes_fill_memory_on_64_bits() {
    objects_fill::<X86_64>();
}

#[test]
fn random_sizes_fill_memory_on_32_bits() {
    objects_fill::<Plain32>();
}
