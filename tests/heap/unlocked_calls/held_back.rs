//! Frame allocators that cannot take frames back: the machine holds those frames, and uses them
//! first.

use archipelago::{AllocFlags, Cause};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{layout, on_geometries_that_decommit};

use super::{check, shared};

/// Scavenged frames are held, counted, and used before the source is asked again.
fn held_frames_are_used_first<G: SimGeometry>() {
    let rig = shared::<G>(Sim::builder().takes_back(false).build());
    let pages = G::GEOMETRY.chunk_pages() / 2;
    let chunk = layout(pages * G::GEOMETRY.page_bytes(), 8);
    let block = rig.allocate(chunk, AllocFlags::empty()).expect("memory");
    rig.free(block);
    let held = |rig: &archipelago_testing::Rig<G>| rig.heap.stats().footprint.held_frames;
    assert_eq!(held(&rig), 0);
    let scavenged = rig.heap.scavenge(pages).expect("the machine is free");
    let granules = scavenged * G::GEOMETRY.page_bytes() / G::GEOMETRY.granule_bytes();
    assert!(
        granules > 0 && held(&rig) == granules,
        "the source takes none"
    );
    check(&rig);

    let taken = rig.machine.frames_taken();
    let block = rig.allocate(chunk, AllocFlags::empty()).expect("memory");
    assert_eq!(held(&rig), 0, "the stock is used up");
    assert_eq!(rig.machine.frames_taken(), taken, "the source is not asked");
    check(&rig);
    rig.free(block);
    check(&rig);
}

/// A request that fails for want of frames leaves those that it got in stock, where the next
/// request finds them.
fn a_shortage_leaves_frames_in_stock<G: SimGeometry>() {
    let rig = shared::<G>(Sim::builder().takes_back(false).build());
    let pages = 2 * G::GEOMETRY.chunk_pages();
    let large = layout(pages * G::GEOMETRY.page_bytes(), 8);
    rig.machine.set_available_frames(pages / 2);
    let refused = rig.allocate(large, AllocFlags::empty());
    let cause = refused.expect_err("there are not enough frames").cause;
    let Cause::Frames { needed, available } = cause else {
        panic!("{cause}");
    };
    let held = rig.heap.stats().footprint.held_frames;
    assert!(
        available < needed && held >= available,
        "{held} of {available} held"
    );
    assert_eq!(rig.machine.available_frames(), 0);
    check(&rig);

    rig.machine.set_available_frames(usize::MAX / 2);
    let taken = rig.machine.frames_taken();
    let block = rig.allocate(large, AllocFlags::empty());
    let block = block.expect("now there are");
    let stats = rig.heap.stats();
    assert_eq!(stats.footprint.held_frames, 0, "the stock is used up");
    let used = stats.mapped_ready / G::GEOMETRY.granule_bytes() + stats.footprint.table_frames;
    assert_eq!(rig.machine.frames_taken(), used, "no frame was taken twice");
    assert!(used > taken);
    check(&rig);
    rig.free(block);
}

on_geometries_that_decommit!(
    held_frames_are_used_first,
    a_shortage_leaves_frames_in_stock
);
