//! Requests that must not grow the heap, and the reserve.

use core::alloc::{GlobalAlloc, Layout};

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout};

/// A layout of `pages` whole pages.
fn pages<G: SimGeometry>(pages: usize) -> Layout {
    layout(pages * Rig::<G>::PAGE, 8)
}

/// Takes all that requests without growth can have, and then all that is beside the reserve.
fn exhaust<G: SimGeometry>(rig: &Rig<G>) -> Vec<Block> {
    rig.machine.set_available_frames(0);
    let mut blocks = Vec::new();
    for size in [64 * Rig::<G>::PAGE, Rig::<G>::PAGE, 64, 8] {
        while let Ok(block) = rig.allocate(layout(size, 8), AllocFlags::empty()) {
            blocks.push(block);
        }
    }
    blocks
}

fn no_grow_never_calls_the_machine<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let calls = rig.machine.calls();
    for size in [1, 8, 100, Rig::<G>::PAGE, 100 * Rig::<G>::PAGE] {
        for flags in [AllocFlags::NO_GROW, AllocFlags::ATOMIC] {
            let error = rig
                .allocate(layout(size, 8), flags)
                .expect_err("nothing is ready");
            assert!(matches!(error.cause, Cause::NotReady { .. }), "{error}");
        }
    }
    assert_eq!(rig.machine.calls(), calls);
    rig.check();
    rig.verify();
}

fn no_grow_is_served_by_ready_memory<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let run = rig
        .allocate(pages::<G>(100), AllocFlags::empty())
        .expect("memory");
    let small = rig.get(64, 8);
    rig.free(run);
    let calls = rig.machine.calls();
    let served = [layout(64, 8), pages::<G>(60)].map(|wanted| {
        rig.allocate(wanted, AllocFlags::NO_GROW)
            .expect("a partial span, and free pages")
    });
    assert_eq!(rig.machine.calls(), calls);
    rig.check();
    for block in served {
        rig.free(block);
    }
    rig.free(small);
    rig.verify();
}

fn atomic_requests_are_served_by_the_reserve_when_nothing_else_is_left<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    rig.heap.set_reserve(8).expect("memory");
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 8 * Rig::<G>::PAGE);
    rig.check();
    rig.verify();
    let blocks = exhaust(&rig);
    let stats = rig.heap.stats();
    assert_eq!(
        stats.of(Purpose::Reserve),
        8 * Rig::<G>::PAGE,
        "other requests leave it alone"
    );
    let refused = rig
        .allocate(pages::<G>(9), AllocFlags::NO_GROW)
        .expect_err("all is taken");
    assert!(matches!(refused.cause, Cause::NotReady { .. }), "{refused}");
    let calls = rig.machine.calls();
    let small = rig
        .allocate(layout(8, 8), AllocFlags::ATOMIC)
        .expect("a page of the reserve");
    let large = rig.allocate(layout(33 << 10, 8), AllocFlags::ATOMIC);
    let large = large.ok().filter(|large| large.bytes <= 8 * Rig::<G>::PAGE);
    assert_eq!(rig.machine.calls(), calls);
    assert!(rig.heap.stats().of(Purpose::Reserve) < 8 * Rig::<G>::PAGE);
    rig.check();
    rig.verify();
    for block in blocks.into_iter().chain([small]).chain(large) {
        rig.free(block);
    }
    rig.check();
    rig.verify();
}

fn the_next_ordinary_request_refills_the_reserve<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    rig.heap.set_reserve(8).expect("memory");
    let blocks = exhaust(&rig);
    let taken = rig
        .allocate(pages::<G>(1), AllocFlags::ATOMIC)
        .expect("a page of the reserve");
    let left = rig.heap.stats().of(Purpose::Reserve);
    assert!(left < 8 * Rig::<G>::PAGE);
    // Without frames it stays low, and ordinary requests go on as well as they can.
    assert!(rig.allocate(pages::<G>(1), AllocFlags::empty()).is_err());
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), left);
    rig.machine.set_available_frames(1000);
    let ordinary = rig
        .allocate(pages::<G>(1), AllocFlags::empty())
        .expect("memory");
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 8 * Rig::<G>::PAGE);
    rig.check();
    rig.verify();
    for block in blocks.into_iter().chain([taken, ordinary]) {
        rig.free(block);
    }
    rig.verify();
}

fn the_reserve_can_be_made_larger_and_smaller<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    for pages in [1, 20, 64, 3, 0, 5] {
        rig.heap.set_reserve(pages).expect("memory");
        assert_eq!(
            rig.heap.stats().of(Purpose::Reserve),
            pages * Rig::<G>::PAGE,
            "{pages} pages"
        );
        rig.check();
        rig.verify();
    }
}

fn a_reserve_that_cannot_be_had_is_an_error_and_filled_later<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let block = rig.get(8, 8);
    rig.machine.set_available_frames(0);
    let cause = rig.heap.set_reserve(100).expect_err("no frames");
    assert!(
        matches!(cause, Cause::Frames { .. } | Cause::PageTables { .. }),
        "{cause}"
    );
    rig.check();
    rig.machine.set_available_frames(1000);
    let another = rig.get(Rig::<G>::PAGE, 8);
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 100 * Rig::<G>::PAGE);
    rig.free(block);
    rig.free(another);
    rig.check();
    rig.verify();
}

fn a_reserve_in_too_many_pieces_is_an_error_and_no_loop<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let page = layout(Rig::<G>::PAGE, Rig::<G>::PAGE);
    let mut blocks = Vec::new();
    while let Ok(block) = rig.allocate(page, AllocFlags::empty()) {
        blocks.push(block);
    }
    // Pages may be left that there was no metadata for.
    let goal = 20 + rig.heap.stats().free_pages;
    let (freed, kept): (Vec<_>, Vec<_>) =
        (0..).zip(blocks).partition(|(number, _)| number % 2 == 0);
    for (_, block) in freed {
        rig.free(block);
    }
    let cause = rig
        .heap
        .set_reserve(goal)
        .expect_err("single pages are left");
    assert!(
        matches!(cause, Cause::Window { .. } | Cause::MetadataWindow { .. }),
        "{cause}"
    );
    assert!(
        rig.heap.stats().of(Purpose::Reserve) >= Rig::<G>::PAGE,
        "what could be had"
    );
    let ordinary = rig
        .allocate(page, AllocFlags::empty())
        .expect("there is a page");
    rig.free(ordinary);
    for (_, block) in kept {
        rig.free(block);
    }
    rig.free(rig.get(8, 8));
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), goal * Rig::<G>::PAGE);
    rig.check();
    rig.verify();
}

fn a_heap_without_machine_has_no_reserve<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    assert_eq!(rig.heap.set_reserve(1), Err(Cause::NotInitialised));
}

fn the_kernels_context_decides_for_global_alloc<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let calls = rig.machine.calls();
    Hosted::set_context(AllocFlags::ATOMIC);
    // SAFETY: the layout is not empty.
    let refused = unsafe { rig.heap.alloc(layout(64, 8)) };
    Hosted::set_context(AllocFlags::empty());
    assert!(
        refused.is_null(),
        "nothing is ready, and an interrupt handler must not grow"
    );
    assert_eq!(rig.machine.calls(), calls);
    // SAFETY: the layout is not empty.
    let served = unsafe { rig.heap.alloc(layout(64, 8)) };
    assert!(!served.is_null());
    // SAFETY: the block is live and has that layout.
    unsafe { rig.heap.dealloc(served, layout(64, 8)) };
}

archipelago_testing::on_every_geometry!(
    no_grow_never_calls_the_machine,
    no_grow_is_served_by_ready_memory,
    atomic_requests_are_served_by_the_reserve_when_nothing_else_is_left,
    the_next_ordinary_request_refills_the_reserve,
    the_reserve_can_be_made_larger_and_smaller,
    a_reserve_that_cannot_be_had_is_an_error_and_filled_later,
    a_reserve_in_too_many_pieces_is_an_error_and_no_loop,
    a_heap_without_machine_has_no_reserve,
    the_kernels_context_decides_for_global_alloc,
);
