//! A page layer that was filled with a pattern is sound, and pages that the pattern leaves are
//! free.

use archipelago_inside::testing::{Geometry, PageLayer, TestGeometry};

struct Plain;

impl TestGeometry for Plain {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 32,
        base: 0,
        granule_shift: 12,
        page_shift: 12,
        chunk_shift: 21,
        arena_shift: 22,
        index_root_shift: 0,
        index_table_shift: 10,
    };
}

#[test]
fn a_pattern_takes_what_is_free_and_leaves_a_sound_layer() {
    let mut layer = PageLayer::<Plain>::new();
    let (first, count) = (0x4c0, 0x400);
    assert_eq!(layer.grow(first - 1, count + 2), Ok(()));
    assert!(layer.take(first + 64, 2).is_some());
    let mut blocks = [0b1110, 0b1001_0010]
        .into_iter()
        .chain(core::iter::repeat(!1));
    layer.take_pattern(first, count, || blocks.next().unwrap_or(0));
    assert_eq!(layer.verify(), Ok(()));
    let taken = layer.taken_runs(first - 1, 2 * 64 + 3);
    assert_eq!(taken, [2..5, 65..67, 69..70, 72..73, 130..131]);
    let blocks = count / 64;
    let free = 2 + (64 - 3) + (64 - 4) + (blocks - 2);
    assert_eq!(layer.totals(), (free, free), "no page was Ready");
    assert_eq!(layer.find(60), Some(first + 4));
}
