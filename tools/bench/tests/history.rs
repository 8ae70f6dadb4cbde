//! All pairs of size classes, one after the other, in a small heap; `cargo xtask bench history`
//! prints the worst pair of larger ones.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_bench::{FlatBlock, POINTS, Subject, points_behind, worst_pair};
use archipelago_flat::Small;

const BYTES: usize = 64 << 10;

type Heap = FlatBlock<Small<17, 8>>;

#[test]
fn every_class_follows_every_other() {
    let sizes = Heap::new(BYTES).class_sizes();
    assert!(sizes.len() > 20 && sizes.is_sorted(), "{sizes:?}");
    let worst = worst_pair(&sizes, || Heap::new(BYTES));
    let worst = worst.filter(|pair| pair.points() > POINTS);
    assert_eq!(worst, None, "sizes in bytes, and objects");
}

/// A heap that loses one object of twenty.
struct Forgetful(Heap, usize);

impl Subject for Forgetful {
    const NAME: &'static str = "forgetful";

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        self.0.allocate(layout)
    }

    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout) {
        self.1 += 1;
        if self.1 % 20 != 0 {
            // SAFETY: the caller passes a live object of this heap with its layout.
            unsafe { self.0.free(pointer, layout) };
        }
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

#[test]
fn a_heap_that_forgets_objects_is_behind() {
    let worst = worst_pair(&[64, 256], || Forgetful(Heap::new(BYTES), 0));
    let worst = worst.filter(|pair| pair.points() > POINTS);
    assert!(worst.is_some(), "it is not noticed");
}

#[test]
fn points_are_whole_objects() {
    for (fresh, after, points) in [
        (100, 100, 0),
        (100, 120, 0),
        (100, 99, 1),
        (100, 98, 2),
        (100, 97, 3),
        (1000, 980, 2),
        (1000, 979, 3),
        (3, 2, 1),
        (3, 1, 34),
        (1, 0, 1),
    ] {
        assert_eq!(points_behind(fresh, after), points, "{after} of {fresh}");
        // As many as are missing may be missing, and not one more.
        let allowed = (fresh * points).div_ceil(100);
        assert!(after + allowed >= fresh);
    }
}
