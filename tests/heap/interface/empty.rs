//! Requests for nothing.

use core::ptr::NonNull;

use archipelago::AllocFlags;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout};

const FLAGS: [AllocFlags; 4] = [
    AllocFlags::empty(),
    AllocFlags::ZEROED,
    AllocFlags::NO_GROW,
    AllocFlags::ATOMIC,
];

fn nothing_costs_nothing_at_any_alignment<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let before = (rig.heap.stats(), rig.machine.calls());
    for flags in FLAGS {
        for shift in 0..usize::BITS - 1 {
            let nothing = rig
                .allocate(layout(0, 1 << shift), flags)
                .expect("nothing to refuse");
            assert_eq!(nothing.bytes, 0);
            rig.free(nothing);
        }
    }
    assert_eq!((rig.heap.stats(), rig.machine.calls()), before);
}

fn nothing_is_served_before_the_heap_is_there<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    let nothing = rig
        .allocate(layout(0, 64), AllocFlags::empty())
        .expect("nothing to refuse");
    rig.free(nothing);
}

fn something_grows_out_of_nothing_and_shrinks_to_it<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let nothing = rig
        .allocate(layout(0, 16), AllocFlags::empty())
        .expect("nothing to refuse");
    let something = rig
        .resize(nothing, 100, AllocFlags::ZEROED)
        .expect("memory");
    assert_eq!(something.find_dirt(0), None);
    assert_eq!(rig.heap.stats().small_objects, 1);
    let nothing = rig
        .resize(something, 0, AllocFlags::empty())
        .expect("nothing to refuse");
    assert_eq!(nothing.bytes, 0);
    assert_eq!(rig.heap.stats().small_objects, 0);
    let nothing = rig
        .resize(nothing, 0, AllocFlags::ZEROED)
        .expect("nothing to refuse");
    rig.free(nothing);
    rig.verify();
}

fn freeing_nothing_has_no_effect_whatever_the_pointer<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let live = rig.get(64, 8);
    for pointer in [live.pointer, NonNull::dangling()] {
        // SAFETY: an object of no size needs no free; this must have no effect.
        unsafe { rig.heap.deallocate(pointer, layout(0, 8)) };
    }
    assert_eq!(rig.heap.stats().small_objects, 1);
    rig.free(live);
}

archipelago_testing::on_every_geometry!(
    nothing_costs_nothing_at_any_alignment,
    nothing_is_served_before_the_heap_is_there,
    something_grows_out_of_nothing_and_shrinks_to_it,
    freeing_nothing_has_no_effect_whatever_the_pointer,
);
