//! The pages of parts among the other pages: where they lie, what they leave free, and when idle
//! ones become free pages.

use archipelago::bits::Description;
use archipelago::{AllocFlags, Cause, OwnedRun, Stats, Window};
use archipelago_api::{Kernel, Machine};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{
    Block, Rig, layout, lone_window, on_every_geometry, on_geometries_that_decommit,
};

use crate::subject::POINTER;

const NONE: AllocFlags = AllocFlags::empty();

/// Elements of a pointer that fill `pages` pages.
fn elements<G: SimGeometry>(pages: usize) -> usize {
    pages * Rig::<G>::PAGE / Sim::<G>::WORD_BYTES
}

/// Parts that cover a run of `pages` pages, at least.
fn parts<G: SimGeometry>(pages: usize) -> usize {
    pages.div_ceil(4 * Sim::<G>::WORD_BYTES)
}

/// An object of `pages` pages that is full of pointers, aligned to `align` pages.
fn scannable<G: SimGeometry>(rig: &Rig<G>, pages: usize, align: usize) -> Result<Block, Cause> {
    let object = Description::array(&POINTER, elements::<G>(pages));
    let layout = layout(pages * Rig::<G>::PAGE, align * Rig::<G>::PAGE);
    let memory = rig.heap.allocate_scannable(layout, &object, NONE);
    memory
        .map(|memory| rig.vouch(memory, layout))
        .map_err(|error| error.cause)
}

/// A heap whose only free pages are `pages` in a row, and the first of them. All of them are Ready.
fn heap_with_free<G: SimGeometry>(pages: usize) -> (Rig<G>, usize) {
    let rig = Rig::<G>::new();
    let take = |count| rig.heap.pages().allocate(count, 1, NONE).expect("memory");
    let free = take(pages);
    while rig.heap.stats().free_pages > 0 {
        let _ = take(1).leak();
    }
    let base = free.base().value();
    drop(free);
    (rig, base)
}

/// A long object leaves the room of its parts below, so that the pages after it are its own to grow
/// into; an aligned one leaves it above.
fn a_long_object_leaves_room_for_its_parts<G: SimGeometry>() {
    const PAGES: usize = 200;
    let rig = Rig::<G>::new();
    let object = scannable(&rig, PAGES, 1).expect("memory");
    let plain = Rig::<G>::new();
    let first = plain.address(plain.get(PAGES * Rig::<G>::PAGE, 8)).value();
    let room = parts::<G>(PAGES) * Rig::<G>::PAGE;
    assert!(rig.address(object).value() >= first + room);
    rig.free(object);
    for align in [2, 16, 64] {
        let object = scannable(&rig, PAGES, align).expect("memory");
        rig.verify();
        rig.free(object);
    }
    rig.check();
    rig.verify();
}

/// A run of several pages takes the place of parts that are idle, rather than lie elsewhere.
fn idle_parts_make_way<G: SimGeometry>() {
    const PAGES: usize = 60;
    let (rig, base) = heap_with_free::<G>(2 * PAGES);
    let object = scannable(&rig, PAGES, 1).expect("memory");
    rig.free(object);
    assert!(rig.heap.stats().bitmap_pages > 0, "the parts are idle");
    let run = rig.heap.pages().allocate(2 * PAGES, 1, NONE);
    assert_eq!(run.expect("memory").base().value(), base);
    assert_eq!(rig.heap.stats().bitmap_pages, 0);
    rig.check();
    rig.verify();
}

/// Parts that are as many as the object needs, or one more, stay; a page has room beside any.
fn idle_parts_that_may_be_of_use_stay<G: SimGeometry>() {
    const PAGES: usize = 60;
    let (rig, _) = heap_with_free::<G>(2 * PAGES);
    let object = scannable(&rig, PAGES, 1).expect("memory");
    let parts = rig.heap.stats().bitmap_pages;
    rig.free(object);
    drop(rig.heap.pages().allocate(1, 1, NONE).expect("memory"));
    assert_eq!(rig.heap.stats().bitmap_pages, parts, "for a page");
    let calls = rig.machine.calls().total();
    let object = scannable(&rig, PAGES, 1).expect("memory");
    assert_eq!(rig.heap.stats().bitmap_pages, parts, "for the same object");
    assert_eq!(rig.machine.calls().total(), calls);
    rig.free(object);
    rig.verify();
}

/// A run grows over parts that are idle.
fn a_run_grows_over_idle_parts<G: SimGeometry>() {
    const PAGES: usize = 60;
    let (rig, base) = heap_with_free::<G>(2 * PAGES);
    let object = scannable(&rig, PAGES, 1).expect("memory");
    rig.free(object);
    let idle = rig.heap.stats().bitmap_pages;
    assert!(idle > 0);
    let mut run = rig.heap.pages().allocate(1, 1, NONE).expect("memory");
    let end = base + 2 * PAGES * Rig::<G>::PAGE;
    let more = (end - run.base().value()) / Rig::<G>::PAGE - 1;
    let refused = run.extend(more, AllocFlags::NO_GROW);
    let bytes = more * Rig::<G>::PAGE;
    let cause = refused.expect_err("no machine, no parts").cause;
    assert_eq!(cause, Cause::NotFree { bytes });
    assert_eq!(rig.heap.stats().bitmap_pages, idle);
    run.extend(more, NONE).expect("the parts are idle");
    assert_eq!(rig.heap.stats().bitmap_pages, 0);
    drop(run);
    rig.check();
    rig.verify();
}

/// A request for most of a window gets every idle part out of its way.
fn all_idle_parts_make_way<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let window = 4 * G::GEOMETRY.arena_pages();
    // More parts than are freed in three steps.
    let pages = 450 * 4 * Sim::<G>::WORD_BYTES;
    if pages + 200 > window {
        return;
    }
    rig.free(scannable(&rig, pages, 1).expect("memory"));
    assert!(rig.heap.stats().bitmap_pages >= 450);
    // As much as is to be had when no part is idle any more.
    let other = Rig::<G>::new();
    other.free(scannable(&other, pages, 1).expect("memory"));
    other.heap.scavenge(usize::MAX).expect("nobody is inside");
    let most = (1..window).rev().find_map(|count| {
        let run = other.heap.pages().allocate(count, 1, NONE);
        run.ok().map(|run| run.count())
    });
    let most = most.expect("nothing else is in the window");
    assert!(most > window * 9 / 10);
    // With interrupts masked there is one step.
    let interrupts = Hosted::disable_interrupts();
    let refused = rig.heap.pages().allocate(most, 1, NONE).map(drop);
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(interrupts) };
    refused.expect_err("most parts are idle still");
    assert!(rig.heap.stats().bitmap_pages >= 300);
    let run = rig.heap.pages().allocate(most, 1, NONE);
    assert_eq!(run.expect("memory").count(), most);
    assert_eq!(rig.heap.stats().bitmap_pages, 0);
    rig.verify();
}

/// Idle parts serve where growth finds no address space for its metadata.
fn idle_parts_serve_where_metadata_has_no_room<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    let window = lone_window::<G>(200 * page);
    let bed = || {
        let rig = Rig::<G>::on(Sim::default(), &[window]);
        rig.free(scannable(&rig, 20, 1).expect("memory"));
        rig
    };
    let other = bed();
    while other.heap.pages().allocate(1, 1, NONE).map(leak).is_ok() {}
    let owned = other.heap.stats().owned_pages;
    let rig = bed();
    let is_full = |stats: Stats| stats.owned_pages == owned && stats.free_pages == 0;
    // Pages one by one: a longer run would have the idle parts given back.
    while !is_full(rig.heap.stats()) {
        leak(rig.heap.pages().allocate(1, 1, NONE).expect("memory"));
    }
    let idle = rig.heap.stats().bitmap_pages;
    assert!(idle > 0);
    // Pages in arenas of which nothing is known, until one of them has no tables.
    let far = |number: usize| window.base + (4 + 2 * number) * G::GEOMETRY.arena_bytes();
    let in_window = (1..50).find_map(|number| {
        let added = rig.heap.add_window(Window::new(far(number), page));
        added.expect("a good window");
        let run = rig.heap.pages().allocate(1, 1, NONE).expect("memory");
        if run.base().value() < far(1) {
            return Some(run);
        }
        leak(run);
        None
    });
    let run = in_window.expect("there is metadata for ever");
    assert!(rig.heap.stats().bitmap_pages < idle);
    drop(run);
    rig.check();
    rig.verify();
}

fn leak<G: SimGeometry>(run: OwnedRun<'_, Sim<G>, Hosted>) {
    let _ = run.leak();
}

/// A refusal for want of frames counts the run and all of its parts, whichever part was refused.
fn a_part_without_frames<G: SimGeometry>() {
    const PAGES: usize = 120;
    let granules = Rig::<G>::PAGE / G::GEOMETRY.granule_bytes();
    let all = (PAGES + parts::<G>(PAGES)) * granules;
    let rig = Rig::<G>::new();
    rig.free(rig.get(8, 8));
    let mut refused = 0;
    for frames in PAGES * granules.. {
        rig.machine.set_available_frames(frames);
        let cause = match scannable(&rig, PAGES, 1) {
            Ok(object) => {
                rig.free(object);
                break;
            }
            Err(cause) => cause,
        };
        let Cause::Frames { needed, available } = cause else {
            assert!(matches!(cause, Cause::PageTables { .. }), "{cause}");
            continue;
        };
        assert!(available < needed, "{cause}");
        if available > PAGES * granules {
            // A page of the heap that has memory may serve, too.
            let few = 2 * granules;
            assert!((all - few..all + few).contains(&needed), "{cause}");
            refused += 1;
        }
        rig.check();
    }
    assert!(refused > 0, "no part was refused");
    rig.verify();
}

/// A refusal for want of address space names fewer bytes than were asked for.
fn a_part_without_address_space<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    let windows = [lone_window::<G>(100 * page)];
    let rig = Rig::<G>::on(Sim::default(), &windows);
    let mut served = 0;
    for pages in (10..100).rev() {
        match scannable(&rig, pages, 1) {
            Ok(object) => {
                rig.free(object);
                served += 1;
            }
            Err(Cause::Window { bytes, largest, .. }) => {
                assert_eq!(served, 0, "{pages} pages");
                assert_eq!(bytes, pages * page);
                assert!(largest < bytes, "{largest} of {bytes} bytes");
            }
            Err(cause) => panic!("{cause}"),
        }
    }
    assert!(served > 0);
    rig.verify();
}

on_every_geometry!(
    idle_parts_make_way,
    idle_parts_that_may_be_of_use_stay,
    a_run_grows_over_idle_parts,
    idle_parts_serve_where_metadata_has_no_room,
    a_part_without_address_space,
);
on_geometries_that_decommit!(
    a_long_object_leaves_room_for_its_parts,
    all_idle_parts_make_way,
    a_part_without_frames,
);
