//! `Allocator`: collections that name their heap.

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box as BoxIn;
use allocator_api2::vec::Vec as VecIn;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

fn a_vector_in_a_heap_grows_and_shrinks<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let mut numbers = VecIn::new_in(&*rig.heap);
    for number in 0..5_000_u32 {
        numbers.push(number);
    }
    assert!((0..5_000).eq(numbers.iter().copied()));
    numbers.truncate(10);
    numbers.shrink_to_fit();
    assert!((0..10).eq(numbers.iter().copied()));
    rig.check();
    drop(numbers);
    assert_eq!(rig.heap.stats().small_objects, 0);
    rig.verify();
}

fn a_box_in_a_heap_is_dropped_there<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let boxed = BoxIn::new_in([7_u64; 40], &*rig.heap);
    assert_eq!((boxed[39], rig.heap.stats().small_objects), (7, 1));
    drop(boxed);
    assert_eq!(rig.heap.stats().small_objects, 0);
}

fn a_heap_that_runs_out_is_an_error_of_the_vector<G: SimGeometry>() {
    let machine = Sim::builder().frames(64).build();
    let rig = Rig::<G>::on(machine, &[lone_window::<G>(1000 * Rig::<G>::PAGE)]);
    let mut bytes: VecIn<u8, _> = VecIn::new_in(&*rig.heap);
    bytes.extend_from_slice(&[5; 100]);
    assert!(bytes.try_reserve(200 * Rig::<G>::PAGE).is_err());
    assert!(bytes.try_reserve(usize::MAX / 2).is_err());
    assert_eq!(bytes.as_slice(), [5; 100]);
    rig.check();
}

fn grown_zeroed_memory_is_zero_after_the_old_bytes<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let heap = &*rig.heap;
    let (small, large) = (layout(100, 8), layout(10_000, 8));
    // Dirties the memory that is allocated next.
    let dirty = rig.get(10_000, 8);
    dirty.fill(1);
    rig.free(dirty);
    let memory = Allocator::allocate(&heap, small).expect("memory");
    // SAFETY: the memory has at least as many bytes as its layout.
    unsafe { memory.cast::<u8>().write_bytes(9, 100) };
    // SAFETY: the block is live, has layout `small`, and `large` is larger.
    let grown = unsafe { heap.grow_zeroed(memory.cast(), small, large) }.expect("memory");
    // SAFETY: the block is live and as long as it says; all of it is written: the old bytes, and
    // zeros.
    let bytes = unsafe { grown.as_ref() };
    assert!(bytes[..100].iter().all(|byte| *byte == 9));
    assert!(bytes[100..].iter().all(|byte| *byte == 0));
    // SAFETY: the block is live and has layout `large`.
    unsafe { Allocator::deallocate(&heap, grown.cast(), large) };
    rig.check();
}

archipelago_testing::on_every_geometry!(
    a_vector_in_a_heap_grows_and_shrinks,
    a_box_in_a_heap_is_dropped_there,
    a_heap_that_runs_out_is_an_error_of_the_vector,
    grown_zeroed_memory_is_zero_after_the_old_bytes,
);
