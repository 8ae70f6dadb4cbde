//! A heap whose objects are all freed serves any size as well as a fresh one.

use archipelago::AllocFlags;
use archipelago_bench::{POINTS, points_behind};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window};

/// Sizes of objects, in spans of one page and of many, with records of both kinds, and large ones.
const SIZES: [usize; 9] = [8, 16, 40, 64, 376, 512, 1000, 4096, 9000];

/// A heap in a window that is full when all of it is.
fn heap<G: SimGeometry>() -> Rig<G> {
    let window = lone_window::<G>(300 * Rig::<G>::PAGE);
    Rig::on(Sim::default(), &[window])
}

/// Fills the heap with objects of `size` bytes.
fn fill<G: SimGeometry>(rig: &Rig<G>, size: usize) -> Vec<Block> {
    core::iter::from_fn(|| rig.allocate(layout(size, 8), AllocFlags::empty()).ok()).collect()
}

/// Every size after every other, in one heap after the other.
fn any_size_follows_any_other<G: SimGeometry>() {
    let fresh = SIZES.map(|size| fill(&heap::<G>(), size).len());
    for (first, filled) in SIZES.into_iter().zip(fresh) {
        assert!(filled > 0, "{first} bytes");
        for (second, expected) in SIZES.into_iter().zip(fresh) {
            let rig = heap::<G>();
            let blocks = fill(&rig, first);
            blocks.into_iter().for_each(|block| rig.free(block));
            rig.verify();
            let blocks = fill(&rig, second);
            let count = blocks.len();
            assert!(
                points_behind(expected, count) <= POINTS,
                "{second} bytes after {first}: {count} of {expected} objects\n{}",
                rig.heap.stats()
            );
            blocks.into_iter().for_each(|block| rig.free(block));
            rig.verify();
            rig.check();
        }
    }
}

/// All sizes in turn, in one heap.
fn sizes_in_turn_leave_nothing_behind<G: SimGeometry>() {
    let fresh = SIZES.map(|size| fill(&heap::<G>(), size).len());
    let rig = heap::<G>();
    for round in 0..3 {
        for (size, expected) in SIZES.into_iter().zip(fresh) {
            let blocks = fill(&rig, size);
            let count = blocks.len();
            assert!(
                points_behind(expected, count) <= POINTS,
                "round {round}, {size} bytes: {count} of {expected} objects"
            );
            // In another order than they came.
            let (odd, even): (Vec<_>, Vec<_>) =
                (0..).zip(blocks).partition(|(number, _)| number % 2 == 1);
            for (_, block) in odd.into_iter().chain(even) {
                rig.free(block);
            }
        }
    }
    rig.verify();
    rig.check();
}

archipelago_testing::on_every_geometry!(
    any_size_follows_any_other,
    sizes_in_turn_leave_nothing_behind,
);
