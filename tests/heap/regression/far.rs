//! Metadata that continues elsewhere when its first range is used up.

use archipelago::{AllocFlags, Cause, Purpose, Window};
use archipelago_sim::{Sim, SimGeometry, X86_64};
use archipelago_testing::{Rig, layout, lone_window};

/// Metadata continues in a window that was added later, and all of that window's pages but a share
/// can be used.
fn metadata_goes_on_in_a_later_window<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    let small = lone_window::<G>(64 * page);
    let large = Window::new(small.base + small.bytes, 2000 * page);
    let rig = Rig::<G>::on(Sim::default(), &[small]);
    rig.heap.add_window(large).expect("a good window");
    let mut blocks = Vec::new();
    let error = loop {
        match rig.allocate(layout(2 * page, 8), AllocFlags::empty()) {
            Ok(block) => blocks.push(block),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            error.cause,
            Cause::Window { .. } | Cause::MetadataWindow { .. }
        ),
        "{error}"
    );
    let used = rig.heap.stats().of(Purpose::Objects);
    assert!(
        used > (small.bytes + large.bytes) / 20 * 17,
        "{used} bytes, then {error}"
    );
    rig.check();
    rig.verify();
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.verify();
}

/// Records are named by 32 bits: a window that is too far away for that holds none.
#[test]
fn records_beyond_the_reach_of_their_names_are_not_made() {
    let page = Rig::<X86_64>::PAGE;
    let near = Window::new(0xffff_9000_0000_0000, 64 * page);
    let far = Window::new(0x4444_4444_0000, 64 << 20);
    let rig = Rig::<X86_64>::on(Sim::builder().frames(20_000).build(), &[near]);
    rig.heap.add_window(far).expect("a good window");
    let mut blocks = Vec::new();
    while let Ok(block) = rig.allocate(layout(5000, 8), AllocFlags::empty()) {
        blocks.push(block);
    }
    let metadata = rig.heap.stats().metadata();
    assert!(
        metadata < 64 * page,
        "{metadata} bytes of metadata for {} objects",
        blocks.len()
    );
    rig.check();
    rig.verify();
    blocks.into_iter().for_each(|block| rig.free(block));
}

/// A window set aside for metadata near by makes the far one as good as any.
#[test]
fn objects_may_be_as_far_from_metadata_as_they_like() {
    let page = Rig::<X86_64>::PAGE;
    let metadata = Window::for_metadata(0xffff_9000_0000_0000, 1024 * page);
    let far = Window::new(0x4444_4444_0000, 64 << 20);
    let rig = Rig::<X86_64>::on(Sim::default(), &[far, metadata]);
    let blocks: Vec<_> = (0..3000).map(|_| rig.get(5000, 8)).collect();
    rig.check();
    rig.verify();
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.verify();
}

archipelago_testing::on_every_geometry!(metadata_goes_on_in_a_later_window);
