//! A heap whose objects are all freed serves scannable and other objects of any size as well as a
//! fresh one.

use archipelago::AllocFlags;
use archipelago::bits::Description;
use archipelago_api::Machine;
use archipelago_bench::{POINTS, points_behind};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window, on_every_geometry};

use crate::subject::POINTER;

/// Sizes of objects, in spans of one page and of many, and large ones.
const SIZES: [usize; 5] = [16, 64, 1000, 4096, 9000];

/// Objects of a size, with pointers or without.
#[derive(Clone, Copy, Debug)]
struct Objects {
    bytes: usize,
    are_scannable: bool,
}

/// Every size, without pointers and with them.
fn all() -> impl Iterator<Item = Objects> {
    SIZES.into_iter().flat_map(|bytes| {
        [false, true].map(|are_scannable| Objects {
            bytes,
            are_scannable,
        })
    })
}

/// A heap in a window that is full when all of it is.
fn heap<G: SimGeometry>() -> Rig<G> {
    let window = lone_window::<G>(300 * Rig::<G>::PAGE);
    Rig::on(Sim::default(), &[window])
}

/// Fills the heap with objects, up to so many.
fn fill<G: SimGeometry>(rig: &Rig<G>, objects: Objects, most: usize) -> Vec<Block> {
    let layout = layout(objects.bytes, 8);
    let none = AllocFlags::empty();
    let pointers = Description::array(&POINTER, objects.bytes / Sim::<G>::WORD_BYTES);
    let one = || {
        if !objects.are_scannable {
            return rig.allocate(layout, none).ok();
        }
        let memory = rig.heap.allocate_scannable(layout, &pointers, none).ok()?;
        Some(rig.vouch(memory, layout))
    };
    core::iter::from_fn(one).take(most).collect()
}

fn free_all<G: SimGeometry>(rig: &Rig<G>, blocks: Vec<Block>) {
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.verify();
    rig.check();
}

/// Whether `count` objects are as many as the `fresh` ones of a fresh heap: within the bound, or
/// but for one.
fn is_as_good(fresh: usize, count: usize) -> bool {
    points_behind(fresh, count) <= POINTS || count + 1 >= fresh
}

/// Objects of every kind after a heap full of every other, and after one object of it.
fn any_objects_follow_any_others<G: SimGeometry>() {
    let fresh: Vec<_> = all()
        .map(|objects| fill(&heap::<G>(), objects, usize::MAX).len())
        .collect();
    for first in all() {
        for most in [1, usize::MAX] {
            for (second, expected) in all().zip(&fresh) {
                assert!(*expected > 0, "{second:?}");
                let rig = heap::<G>();
                let blocks = fill(&rig, first, most);
                free_all(&rig, blocks);
                let blocks = fill(&rig, second, usize::MAX);
                let count = blocks.len();
                assert!(
                    is_as_good(*expected, count),
                    "{second:?} after {first:?}: {count} of {expected}\n{}",
                    rig.heap.stats()
                );
                free_all(&rig, blocks);
            }
        }
    }
}

/// All objects in turn, in one heap.
fn objects_in_turn_leave_nothing_behind<G: SimGeometry>() {
    let rig = heap::<G>();
    for round in 0..3 {
        for objects in all() {
            let expected = fill(&heap::<G>(), objects, usize::MAX).len();
            let blocks = fill(&rig, objects, usize::MAX);
            let count = blocks.len();
            assert!(
                is_as_good(expected, count),
                "round {round}, {objects:?}: {count} of {expected}"
            );
            // In another order than they came.
            let (odd, even): (Vec<_>, Vec<_>) =
                (0..).zip(blocks).partition(|(number, _)| number % 2 == 1);
            let blocks = odd.into_iter().chain(even).map(|(_, block)| block);
            free_all(&rig, blocks.collect());
        }
    }
}

on_every_geometry!(
    any_objects_follow_any_others,
    objects_in_turn_leave_nothing_behind,
);
