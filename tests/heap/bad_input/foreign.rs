//! Pointers that the heap never handed out.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{Machine, VirtAddr};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout};

use super::misuse::stopped;

fn refused<G: SimGeometry>(rig: &Rig<G>, pointer: NonNull<u8>, layout: Layout) -> String {
    // SAFETY: the call breaks the contract on purpose. The heap notices, and stops before it
    // changes anything.
    stopped(rig, || unsafe { rig.heap.deallocate(pointer, layout) })
}

fn foreign_memory_is_named_by_its_number<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let live = rig.get(8, 8);
    let mut local = 7_u64;
    let pointer = NonNull::from(&mut local).cast::<u8>();
    let number = VirtAddr::new(pointer.addr().get());
    let text = refused(&rig, pointer, layout(8, 8));
    let said =
        format!("archipelago: {number}: not an address of this heap; layout: 8 bytes aligned to 8");
    assert_eq!(text, said);
    assert_eq!(local, 7);
    rig.free(live);
}

fn pages_of_a_window_that_were_never_used_are_foreign<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let block = rig.get(8, 8);
    let first = rig.address(block).value();
    let window = 4 * G::GEOMETRY.arena_bytes();
    let never = VirtAddr::new(first + window / 2);
    let text = refused(&rig, rig.machine.pointer(never), layout(8, 8));
    let said =
        format!("archipelago: {never}: not an address of this heap; layout: 8 bytes aligned to 8");
    assert_eq!(text, said);
    rig.free(block);
}

fn metadata_is_no_object<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let block = rig.get(8, 8);
    let window = 4 * G::GEOMETRY.arena_bytes();
    let base = archipelago_testing::lone_window::<G>(window).base;
    let last = VirtAddr::new(base + window - 64);
    let text = refused(&rig, rig.machine.pointer(last), layout(64, 8));
    assert!(text.contains("not an address of this heap"), "{text}");
    rig.free(block);
}

fn a_heap_that_has_nothing_has_nothing_to_free<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    let mut local = 7_u64;
    let pointer = NonNull::from(&mut local).cast::<u8>();
    let text = refused(&rig, pointer, layout(8, 8));
    assert!(text.contains("not an address of this heap"), "{text}");
}

archipelago_testing::on_every_geometry!(
    foreign_memory_is_named_by_its_number,
    pages_of_a_window_that_were_never_used_are_foreign,
    metadata_is_no_object,
    a_heap_that_has_nothing_has_nothing_to_free,
);
