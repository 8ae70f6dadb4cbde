//! Objects that are larger, or aligned more strictly, than a page, a chunk or an arena.

use archipelago::{AllocFlags, Purpose, Window};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window};

/// A machine whose frames are zero: it need not fill memory that a test does not read.
fn untouched<G: SimGeometry>() -> Sim<G> {
    Sim::builder().zeroed_frames(true).build()
}

/// Writes to the first and to the last byte.
fn touch_ends(block: Block) {
    for at in [0, block.bytes - 1] {
        // SAFETY: the byte lies in the block.
        let place = unsafe { block.pointer.add(at) };
        // SAFETY: as above, and the block is the test's.
        unsafe { place.write(1) };
    }
}

fn an_object_reaches_over_adjacent_arenas<G: SimGeometry>() {
    let (page, arena) = (Rig::<G>::PAGE, G::GEOMETRY.arena_bytes());
    let rig = Rig::<G>::on(untouched(), &[lone_window::<G>(8 * arena)]);
    // This object makes large ones begin in the middle of an arena.
    let small = rig.get(page, page);
    for bytes in [arena + page, 2 * arena, 3 * arena + 5 * page + 1, 6 * arena] {
        let block = rig.get(bytes, 8);
        touch_ends(block);
        let first = rig.address(block);
        let last = archipelago::VirtAddr::new(first.value() + bytes - 1);
        assert!(rig.heap.owns(first) && rig.heap.owns(last));
        rig.check();
        rig.verify();
        rig.free(block);
        assert!(!rig.heap.owns(first) && !rig.heap.owns(last));
    }
    rig.free(small);
    rig.verify();
}

/// Two windows that touch make one range, and an object may lie across the seam.
fn an_object_reaches_over_windows_that_touch<G: SimGeometry>() {
    let arena = G::GEOMETRY.arena_bytes();
    let low = lone_window::<G>(arena);
    let high = Window::new(low.base + arena, arena);
    let metadata = Window::for_metadata(high.base + 3 * arena, arena);
    let rig = Rig::<G>::on(untouched(), &[high, low, metadata]);
    let block = rig.get(2 * arena, 8);
    assert_eq!(rig.address(block).value(), low.base);
    rig.check();
    rig.verify();
    rig.free(block);
}

fn an_alignment_may_be_above_an_arena<G: SimGeometry>() {
    let (page, arena) = (Rig::<G>::PAGE, G::GEOMETRY.arena_bytes());
    let rig = Rig::<G>::on(untouched(), &[lone_window::<G>(16 * arena)]);
    for align in [
        2 * page,
        G::GEOMETRY.chunk_bytes(),
        arena,
        2 * arena,
        4 * arena,
    ] {
        for size in [1, page, arena + 1] {
            let blocks: Vec<_> = (0..2).map(|_| rig.get(size, align)).collect();
            for block in &blocks {
                touch_ends(*block);
                rig.check();
            }
            rig.verify();
            blocks.into_iter().for_each(|block| rig.free(block));
        }
    }
    assert_eq!(rig.heap.stats().small_objects, 0);
    rig.verify();
}

/// Aligned requests use free pages again, and do not use up the window.
fn aligned_objects_use_free_pages_again<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let page = Rig::<G>::PAGE;
    let mut owned = None;
    for _ in 0..500 {
        let blocks = [2, 8, 32].map(|pages| rig.get(3 * page, pages * page));
        blocks.into_iter().for_each(|block| rig.free(block));
        let now = rig.heap.stats().owned_pages;
        assert_eq!(*owned.get_or_insert(now), now);
    }
    rig.verify();
}

/// A layout of up to a quarter of the largest window, in size and in alignment, is served by an
/// empty heap.
fn any_layout_up_to_a_quarter_of_the_window_is_served<G: SimGeometry>() {
    let (page, arena) = (Rig::<G>::PAGE, G::GEOMETRY.arena_bytes());
    for window in [
        lone_window::<G>(16 * arena),
        Window::new(
            lone_window::<G>(arena).base + 3 * page,
            16 * arena + 5 * page,
        ),
    ] {
        let quarter = window.bytes / 4;
        let most = 1 << quarter.ilog2();
        let mut align = 1;
        while align <= most {
            let rig = Rig::<G>::on(untouched(), &[window]);
            for size in [1, page + 1, quarter / 3, quarter] {
                rig.free(rig.get(size, align));
                rig.check();
            }
            rig.verify();
            align *= 4;
        }
    }
}

/// Zeroed memory is zero, of every size, also where the pages were used before.
fn zeroed_objects_are_zero_whatever_their_pages_held<G: SimGeometry>() {
    for zeroed_frames in [false, true] {
        let machine = Sim::builder().zeroed_frames(zeroed_frames).build();
        let rig = Rig::<G>::on(machine, &[lone_window::<G>(64 * G::GEOMETRY.chunk_bytes())]);
        for _ in 0..3 {
            for size in [1, 24, 500, 3 * Rig::<G>::PAGE + 1, 70 * Rig::<G>::PAGE] {
                let wanted = layout(size, 8);
                let block = rig.allocate(wanted, AllocFlags::ZEROED).expect("memory");
                assert_eq!(block.find_dirt(0), None, "{size} bytes");
                block.fill(0xff);
                rig.free(block);
            }
            rig.heap.scavenge(30).expect("the machine is not in use");
        }
        assert_eq!(rig.heap.stats().of(Purpose::Reserve), 0);
        rig.check();
        rig.verify();
    }
}

archipelago_testing::on_every_geometry!(
    an_object_reaches_over_adjacent_arenas,
    an_object_reaches_over_windows_that_touch,
    an_alignment_may_be_above_an_arena,
    aligned_objects_use_free_pages_again,
    any_layout_up_to_a_quarter_of_the_window_is_served,
    zeroed_objects_are_zero_whatever_their_pages_held,
);
