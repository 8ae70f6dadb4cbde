//! What a heap takes of a small block for itself, where address space is memory. `cargo xtask bench
//! metadata` prints the same figures.
// With a heap bitmap there are spans of two kinds, and the static is larger.
#![cfg(not(feature = "heap-bits"))]

use archipelago_bench::footprint;
use archipelago_flat::{Shape, Small};

fn a_block_is_left_to_objects<S: Shape>() {
    let footprint = footprint::<S>(64 << 10);
    assert!(footprint.fresh_share() <= 0.06, "{footprint:?}");
    assert!(footprint.full_share() <= 0.15, "{footprint:?}");
    // What is kept for more metadata is lost to objects from the start.
    assert!(footprint.fresh > 0 && footprint.fresh < footprint.full);
    if cfg!(target_pointer_width = "32") {
        assert!(footprint.heap <= 1024, "{footprint:?}");
    }
}

#[test]
fn a_block_without_an_mmu_is_left_to_objects() {
    a_block_is_left_to_objects::<Small<17, 8>>();
    a_block_is_left_to_objects::<Small<17, 9>>();
    a_block_is_left_to_objects::<Small<17, 10>>();
    // In a space for blocks of up to a megabyte.
    a_block_is_left_to_objects::<Small<21, 10>>();
}
