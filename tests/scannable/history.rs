//! A heap whose objects are all freed serves scannable and other objects of any size as well as a
//! fresh one.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::bits::Description;
use archipelago::{AllocFlags, Heap, Machine};
use archipelago_bench::{FlatBlock, POINTS, points_behind};
use archipelago_flat::{Flat, Shape, Small};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window, on_every_geometry};

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

/// A heap to be filled.
trait Bed {
    /// The machine of the heap.
    type Machine: Machine;

    /// The heap.
    fn heap(&self) -> &Heap<Self::Machine, Hosted>;

    /// Checks the heap in a quiet moment.
    fn check(&self) {
        let verified = self.heap().verify();
        assert_eq!(verified, Ok(()), "{}", self.heap().stats());
    }
}

impl<G: SimGeometry> Bed for Rig<G> {
    type Machine = Sim<G>;

    fn heap(&self) -> &Heap<Sim<G>, Hosted> {
        &self.heap
    }

    fn check(&self) {
        self.verify();
        Self::check(self);
    }
}

impl<S: Shape> Bed for FlatBlock<S> {
    type Machine = Flat<S, 2>;

    fn heap(&self) -> &Heap<Flat<S, 2>, Hosted> {
        Self::heap(self)
    }
}

/// Live objects of one layout.
type Blocks = (Layout, Vec<NonNull<u8>>);

/// Fills the heap with objects, up to so many.
fn fill<B: Bed>(bed: &B, objects: Objects, most: usize) -> Blocks {
    let (layout, none) = (layout(objects.bytes, 8), AllocFlags::empty());
    let pointers = Description::array(&POINTER, objects.bytes / B::Machine::WORD_BYTES);
    let one = || {
        let memory = match objects.are_scannable {
            true => bed.heap().allocate_scannable(layout, &pointers, none),
            false => bed.heap().allocate(layout, none),
        };
        memory.ok().map(NonNull::cast)
    };
    (layout, core::iter::from_fn(one).take(most).collect())
}

fn free_all<B: Bed>(bed: &B, (layout, blocks): Blocks) {
    for block in blocks {
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { bed.heap().deallocate(block, layout) };
    }
    bed.check();
}

/// Panics unless `count` objects are as many as the `fresh` ones of a fresh heap: within the bound,
/// or but for two, since a page of records or of bitmap may split the last free pages.
fn assert_as_good<B: Bed>(bed: &B, (fresh, count): (usize, usize), history: &str) {
    let is_as_good = points_behind(fresh, count) <= POINTS || count + 2 >= fresh;
    let stats = bed.heap().stats();
    assert!(is_as_good, "{history}: {count} of {fresh}\n{stats}");
}

/// Objects of every kind after a heap full of every other, and after one object of it.
fn any_follow_any<B: Bed>(make: impl Fn() -> B) {
    let fresh: Vec<_> = all()
        .map(|objects| fill(&make(), objects, usize::MAX).1.len())
        .collect();
    for first in all() {
        for most in [1, usize::MAX] {
            for (second, expected) in all().zip(&fresh) {
                assert!(*expected > 0, "{second:?}");
                let bed = make();
                free_all(&bed, fill(&bed, first, most));
                let blocks = fill(&bed, second, usize::MAX);
                let history = format!("{second:?} after {first:?}");
                assert_as_good(&bed, (*expected, blocks.1.len()), &history);
                free_all(&bed, blocks);
            }
        }
    }
}

/// All objects in turn, in one heap.
fn in_turn<B: Bed>(make: impl Fn() -> B) {
    let bed = make();
    for round in 0..3 {
        for objects in all() {
            let expected = fill(&make(), objects, usize::MAX).1.len();
            let (layout, blocks) = fill(&bed, objects, usize::MAX);
            let history = format!("round {round}, {objects:?}");
            assert_as_good(&bed, (expected, blocks.len()), &history);
            // In another order than they came.
            let (odd, even): (Vec<_>, Vec<_>) =
                (0..).zip(blocks).partition(|(number, _)| number % 2 == 1);
            let blocks = odd.into_iter().chain(even).map(|(_, block)| block);
            free_all(&bed, (layout, blocks.collect()));
        }
    }
}

/// A heap in a window that is full when all of it is.
fn heap<G: SimGeometry>() -> Rig<G> {
    let window = lone_window::<G>(300 * Rig::<G>::PAGE);
    Rig::on(Sim::default(), &[window])
}

fn any_objects_follow_any_others<G: SimGeometry>() {
    any_follow_any(heap::<G>);
}

fn objects_in_turn_leave_nothing_behind<G: SimGeometry>() {
    in_turn(heap::<G>);
}

on_every_geometry!(
    any_objects_follow_any_others,
    objects_in_turn_leave_nothing_behind,
);

/// Any objects after any others and all in turn, in a block of memory without an MMU.
fn in_a_block<S: Shape>(bytes: usize) {
    any_follow_any(|| FlatBlock::<S>::new(bytes));
    in_turn(|| FlatBlock::<S>::new(bytes));
}

#[test]
fn blocks_with_pages_of_256_bytes_forget_objects() {
    in_a_block::<Small<17, 8>>(64 << 10);
}

#[test]
fn blocks_with_pages_of_512_bytes_forget_objects() {
    in_a_block::<Small<18, 9>>(128 << 10);
}

#[test]
fn blocks_with_pages_of_1024_bytes_forget_objects() {
    in_a_block::<Small<19, 10>>(256 << 10);
}
