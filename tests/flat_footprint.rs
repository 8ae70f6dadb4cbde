//! Bounds on the memory that a heap without an MMU takes of a small block for itself. `cargo xtask
//! bench metadata` prints the same figures.

#[cfg(feature = "heap-bits")]
use archipelago::AllocFlags;
#[cfg(feature = "heap-bits")]
use archipelago::bits::Description;
use archipelago_bench::footprint;
#[cfg(feature = "heap-bits")]
use archipelago_bench::full;
use archipelago_flat::{Shape, Small};

const BLOCK: usize = 64 << 10;

/// Bytes of the heap itself on words of 32 bits.
const STATIC: usize = 1024;

/// Bytes of a heap with a heap bitmap: twice as many central lists, of at most 80 classes, and two
/// counts.
const STATIC_WITH_BITS: usize = STATIC + 80 * 4 + 2 * 4;

fn a_block_is_left_to_objects<S: Shape>() {
    let footprint = footprint::<S>(BLOCK);
    assert!(
        footprint.fresh_share() <= most_fresh::<S>(),
        "{footprint:?}"
    );
    assert!(footprint.full_share() <= 0.15, "{footprint:?}");
    // Memory that is kept for more metadata is lost to objects from the start.
    assert!(footprint.fresh > 0 && footprint.fresh < footprint.full);
    if cfg!(target_pointer_width = "32") {
        let most = if cfg!(feature = "heap-bits") {
            STATIC_WITH_BITS
        } else {
            STATIC
        };
        assert!(footprint.heap <= most, "{footprint:?}");
    }
}

/// A heap without scannable objects is charged for its bitmap only one word more for each arena of
/// the space, whose table may be a page longer for it.
fn most_fresh<S: Shape>() -> f64 {
    let table = if cfg!(feature = "heap-bits") {
        S::GEOMETRY.page_bytes()
    } else {
        0
    };
    0.06 + share(table)
}

#[expect(clippy::cast_precision_loss, reason = "a block is small")]
fn share(bytes: usize) -> f64 {
    bytes as f64 / BLOCK as f64
}

#[test]
fn a_block_without_an_mmu_is_left_to_objects() {
    a_block_is_left_to_objects::<Small<17, 8>>();
    a_block_is_left_to_objects::<Small<17, 9>>();
    a_block_is_left_to_objects::<Small<17, 10>>();
    // In a space for blocks of up to a megabyte.
    a_block_is_left_to_objects::<Small<21, 10>>();
}

/// A block full of scannable objects loses as much as one of other objects, and two bits for each
/// word. Those are in whole pages, and the first and the last of them cover only part of the block.
#[cfg(feature = "heap-bits")]
fn a_block_is_left_to_scannable_objects<S: Shape>() {
    let object = Description::slice_of::<&u8>(32 / size_of::<usize>());
    let lost = full::<S>(BLOCK, |heap, layout| {
        let memory = heap
            .heap()
            .allocate_scannable(layout, &object, AllocFlags::empty());
        memory.is_ok()
    });
    let bits = BLOCK / (4 * size_of::<usize>()) + 2 * S::GEOMETRY.page_bytes();
    assert!(
        share(lost) <= 0.15 + share(bits),
        "{lost} bytes, {bits} of them bits"
    );
}

#[test]
#[cfg(feature = "heap-bits")]
fn a_block_without_an_mmu_is_left_to_scannable_objects() {
    a_block_is_left_to_scannable_objects::<Small<17, 8>>();
    a_block_is_left_to_scannable_objects::<Small<17, 9>>();
    a_block_is_left_to_scannable_objects::<Small<17, 10>>();
    a_block_is_left_to_scannable_objects::<Small<21, 10>>();
}
