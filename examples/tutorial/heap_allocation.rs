//! The tutorial's own tests of the heap, as it has them in `tests/heap_allocation.rs`, without the
//! attribute `#[test_case]`, which stable compilers do not know.

use alloc::boxed::Box;
use alloc::vec::Vec;

use archipelago_qemu::protocol::Test;

use crate::allocator::HEAP_SIZE;

fn simple_allocation() {
    let heap_value_1 = Box::new(41);
    let heap_value_2 = Box::new(13);
    assert_eq!(*heap_value_1, 41);
    assert_eq!(*heap_value_2, 13);
}

fn large_vec() {
    let n = 1000;
    let mut vec = Vec::new();
    for i in 0..n {
        vec.push(i);
    }
    assert_eq!(vec.iter().sum::<u64>(), (n - 1) * n / 2);
}

fn many_boxes() {
    for i in 0..HEAP_SIZE {
        let x = Box::new(i);
        assert_eq!(*x, i);
    }
}

fn many_boxes_long_lived() {
    let long_lived_value = Box::new(1); // new
    for i in 0..HEAP_SIZE {
        let x = Box::new(i);
        assert_eq!(*x, i);
    }
    assert_eq!(*long_lived_value, 1); // new
}

/// All of them, for the harness.
pub const TESTS: [Test<()>; 4] = [
    Test {
        name: "simple_allocation",
        run: |()| simple_allocation(),
    },
    Test {
        name: "large_vec",
        run: |()| large_vec(),
    },
    Test {
        name: "many_boxes",
        run: |()| many_boxes(),
    },
    Test {
        name: "many_boxes_long_lived",
        run: |()| many_boxes_long_lived(),
    },
];
