//! The memory that the heap itself costs.

use archipelago::{AllocFlags, Heap, Purpose, Window};
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{Hosted, Plain31, Plain32, Sim, SimGeometry, Small, WidePage};
use archipelago_testing::{Rig, layout, lone_window};

/// Bytes of metadata, with the heap's own struct.
fn metadata<G: SimGeometry>(rig: &Rig<G>) -> usize {
    rig.heap.stats().metadata() + size_of::<Heap<Sim<G>, Hosted>>()
}

/// Metadata after the first allocation, in a small window and in a quarter of the space.
fn after_the_first_allocation<G: SimGeometry>(most: usize) {
    let quarter = (G::GEOMETRY.last_offset().value() / 4 + 1)
        .min(1usize.checked_shl(40).unwrap_or(usize::MAX));
    for bytes in [4 * G::GEOMETRY.arena_bytes(), quarter] {
        // Without traps, a window of terabytes would have to come from the host.
        let bytes = if cfg!(target_os = "linux") {
            bytes
        } else {
            bytes.min(1 << 28)
        };
        let rig = Rig::<G>::on(Sim::default(), &[lone_window::<G>(bytes)]);
        let block = rig.get(8, 8);
        let found = metadata(&rig);
        assert!(
            found <= most,
            "{found} bytes in a window of {bytes}\n{}",
            rig.heap.stats()
        );
        rig.free(block);
        rig.check();
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn metadata_after_the_first_allocation_is_small_on_x86_64() {
    after_the_first_allocation::<X86_64>(64 << 10);
}

#[test]
fn metadata_after_the_first_allocation_is_small_on_32_bit_geometries() {
    after_the_first_allocation::<Plain32>(24 << 10);
    after_the_first_allocation::<Plain31>(24 << 10);
    after_the_first_allocation::<WidePage>(24 << 10);
    after_the_first_allocation::<Small>(24 << 10);
}

/// A heap in pieces far apart costs as much as its pieces, and nothing for the space between them.
fn metadata_of_windows_far_apart_is_bounded<G: SimGeometry>() {
    let (page, arena) = (Rig::<G>::PAGE, G::GEOMETRY.arena_bytes());
    let eighth = G::GEOMETRY.last_offset().value() / 8 + 1;
    let step = eighth / 2 / arena * arena;
    let base = G::GEOMETRY.base.wrapping_add(eighth);
    // Two pages each: one is used, and the space between is never touched.
    let window = |number: usize| Window::new(base + number * step, 2 * page);
    let home = lone_window::<G>(arena).base;
    let home = Window::for_metadata(home + arena / 2, arena / 2);
    let windows: Vec<_> = (0..6).map(window).chain([home]).collect();
    let rig = Rig::<G>::on(Sim::default(), &windows);
    let first = rig.get(2 * page, 8);
    let one = rig.heap.stats().metadata();
    let mut blocks = vec![first];
    blocks.extend((1..6).map(|_| rig.get(2 * page, 8)));
    let all = rig.heap.stats().metadata();
    assert!(
        all <= 6 * one,
        "{one} bytes for one piece, {all} for six\n{}",
        rig.heap.stats()
    );
    rig.check();
    rig.verify();
    blocks.into_iter().for_each(|block| rig.free(block));
}

/// Metadata grows with the memory in use and not with the window.
fn metadata_is_a_small_part_of_a_large_heap<G: SimGeometry>() {
    let rig = Rig::<G>::on(
        Sim::default(),
        &[lone_window::<G>(G::GEOMETRY.last_offset().value() / 8 + 1)],
    );
    let mut live = 0;
    let blocks: Vec<_> = (0..4000)
        .map(|number| rig.get(100 + number % 400, 8))
        .collect();
    for block in &blocks {
        live += block.layout.size();
    }
    let found = metadata(&rig);
    let least = metadata(&Rig::<G>::new()) + (24 << 10);
    assert!(
        found <= least + live / 8,
        "{found} bytes for {live}\n{}",
        rig.heap.stats()
    );
    rig.check();
    blocks.into_iter().for_each(|block| rig.free(block));
}

/// An object whose size is a power of two takes its size and no more, and so does a page.
fn powers_of_two_take_exactly_their_size<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    for shift in 3..=page.min(4096).ilog2() {
        let size = 1_usize << shift;
        for align in [1, size.min(8), size] {
            let rig = Rig::<G>::new();
            let whole = 4 * page.max(32 << 10) / size;
            let blocks: Vec<_> = (0..whole).map(|_| rig.get(size, align)).collect();
            let used = rig.heap.stats().of(Purpose::Objects);
            assert_eq!(
                used,
                whole * size,
                "{whole} objects of {size} bytes aligned to {align}"
            );
            assert!(blocks.iter().all(|block| block.bytes == size));
            blocks.into_iter().for_each(|block| rig.free(block));
        }
    }
}

/// Objects that are larger than a page and aligned to one take whole pages.
fn page_aligned_pages_take_exactly_their_size<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let page = Rig::<G>::PAGE;
    let blocks: Vec<_> = (0..64).map(|_| rig.get(page, page)).collect();
    assert_eq!(rig.heap.stats().of(Purpose::Objects), 64 * page);
    blocks.into_iter().for_each(|block| rig.free(block));
    let large = rig
        .allocate(layout(41 * page, page), AllocFlags::empty())
        .expect("memory");
    assert_eq!(large.bytes, 41 * page);
    rig.free(large);
}

/// Of the empty spans of a class one is kept, however many there were.
fn one_empty_span_of_a_class_is_kept<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let in_use = || {
        let stats = rig.heap.stats();
        stats.owned_pages - stats.free_pages
    };
    // Four slots in a page.
    let size = Rig::<G>::PAGE / 4;
    let before = in_use();
    let kept = [1, 3, 5].map(|spans| {
        let blocks: Vec<_> = (0..4 * spans).map(|_| rig.get(size, 8)).collect();
        assert!(in_use() >= before + spans, "{spans} spans");
        blocks.into_iter().for_each(|block| rig.free(block));
        rig.verify();
        in_use()
    });
    assert_eq!(kept, [kept[0]; 3]);
    assert!(kept[0] > before, "one is kept");
}

/// Of the arrays of ranges only the last is charged to them: those that were outgrown are unused.
fn outgrown_arrays_are_not_in_use<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    let home = lone_window::<G>(64 * page);
    let rig = Rig::<G>::on(Sim::default(), &[home]);
    // With the window of metadata more than 32 ranges, and no more than 64.
    for number in 0..40 {
        let above = home.base + home.bytes + (2 * number + 1) * page;
        let window = Window::new(above, page);
        rig.heap.add_window(window).expect("a good window");
    }
    let wanted = layout(page, page);
    let take = || rig.allocate(wanted, AllocFlags::empty()).ok();
    let blocks: Vec<_> = core::iter::from_fn(take).collect();
    assert!(blocks.len() > 40);
    let arrays = 3 * 64 * 2 * size_of::<usize>();
    let charged = rig.heap.stats().of(Purpose::Ranges);
    assert!(charged <= arrays, "{charged} bytes for ranges");
    assert!(2 * charged > arrays, "{charged} bytes for ranges");
    blocks.into_iter().for_each(|block| rig.free(block));
    rig.check();
    rig.verify();
}

/// A call that fails a hundred times leaves no more than one that fails once.
fn failing_again_and_again_leaves_no_more<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let block = rig.get(8, 8);
    for frames in [0, 1, 2, 5] {
        rig.machine.set_available_frames(frames);
        let wanted = layout(100 * Rig::<G>::PAGE, 8);
        let fail = || {
            rig.allocate(wanted, AllocFlags::empty())
                .expect_err("too few frames")
        };
        fail();
        let mut once = (rig.heap.stats(), rig.machine.ranges());
        for _ in 0..100 {
            fail();
        }
        once.0.refusals += 100;
        assert_eq!(
            (rig.heap.stats(), rig.machine.ranges()),
            once,
            "{frames} frames"
        );
        rig.check();
    }
    rig.verify();
    rig.free(block);
}

archipelago_testing::on_every_geometry!(
    metadata_of_windows_far_apart_is_bounded,
    metadata_is_a_small_part_of_a_large_heap,
    powers_of_two_take_exactly_their_size,
    page_aligned_pages_take_exactly_their_size,
    one_empty_span_of_a_class_is_kept,
    outgrown_arrays_are_not_in_use,
    failing_again_and_again_leaves_no_more,
);
