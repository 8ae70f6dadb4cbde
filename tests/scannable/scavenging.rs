//! Scavenging of idle parts of the bitmap: as many as are asked for, wherever they are.

use archipelago::{AllocFlags, Cause, Window};
use archipelago_api::Kernel;
use archipelago_sim::{Hosted, SimGeometry};
use archipelago_testing::{Rig, lone_window, on_geometries_that_decommit};

use crate::subject::{POINTER, Subject};

/// Elements of a pointer that fill `pages` pages.
fn elements<G: SimGeometry>(pages: usize) -> usize {
    pages * Rig::<G>::PAGE / Subject::<G>::WORD
}

/// Parts that are Ready and not needed.
fn idle<G: SimGeometry>(subject: &Subject<G>) -> usize {
    let mut idle = 0;
    subject.rig.heap.for_each_bits_part(|part| {
        idle += usize::from(part.is_ready && !part.is_needed);
    });
    idle
}

/// A heap with idle parts, and without free pages whose memory could be given back instead.
fn with_idle_parts<G: SimGeometry>() -> Subject<G> {
    let mut subject = Subject::<G>::new();
    subject.array(&POINTER, elements::<G>(150));
    subject.free(0);
    // Pages one by one: a longer run would have the idle parts given back.
    for _ in 0..150 {
        subject.plain(Rig::<G>::PAGE);
    }
    while subject.rig.heap.stats().of(archipelago::Purpose::Free) > 0 {
        subject.plain(Rig::<G>::PAGE);
    }
    assert!(idle(&subject) > 3);
    // What is kept is given back first, as it is by all that follows.
    assert_eq!(subject.rig.heap.scavenge(0), Ok(0), "nothing was asked for");
    subject.check();
    subject
}

/// As many parts as were asked for are given back, and no more.
fn parts_go_one_by_one<G: SimGeometry>() {
    let subject = with_idle_parts::<G>();
    let heap = &subject.rig.heap;
    let (all, ready) = (idle(&subject), heap.stats().mapped_ready);
    for done in 1..=all {
        assert_eq!(heap.scavenge(1), Ok(1));
        assert_eq!(idle(&subject), all - done);
        assert_eq!(heap.stats().mapped_ready, ready - done * Rig::<G>::PAGE);
        subject.check();
    }
    assert_eq!(heap.scavenge(usize::MAX), Ok(0));
}

/// With interrupts masked and the machine in use, no part is given back, and the call says so.
fn a_busy_machine_is_reported<G: SimGeometry>() {
    let subject = with_idle_parts::<G>();
    let heap = &subject.rig.heap;
    let before = (idle(&subject), heap.stats());
    let held = subject.rig.machine.hold();
    let interrupts = Hosted::disable_interrupts();
    let result = heap.scavenge(usize::MAX);
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(interrupts) };
    drop(held);
    assert_eq!(result, Err(Cause::Busy));
    assert_eq!((idle(&subject), heap.stats()), before);
    subject.check();
    assert_eq!(heap.scavenge(usize::MAX), Ok(before.0));
    subject.check();
}

/// The machine becomes busy in the middle: the result counts the parts given back until then.
fn a_machine_that_becomes_busy_ends_it<G: SimGeometry>() {
    for nth in 1.. {
        let subject = with_idle_parts::<G>();
        let heap = &subject.rig.heap;
        let all = idle(&subject);
        let interrupts = Hosted::disable_interrupts();
        let machine = &subject.rig.machine;
        machine.busy_nth(nth, archipelago_sim::Mode::FromThenOn);
        let result = heap.scavenge(usize::MAX);
        machine.disarm();
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { Hosted::restore_interrupts(interrupts) };
        let gone = all - idle(&subject);
        assert_eq!(
            result,
            if gone == 0 {
                Err(Cause::Busy)
            } else {
                Ok(gone)
            }
        );
        subject.check();
        if gone == all {
            assert!(nth > 3, "a call for every part");
            break;
        }
    }
}

/// A request that lacks a frame gets that of an idle part.
fn an_idle_part_makes_up_for_a_missing_frame<G: SimGeometry>() {
    let mut subject = with_idle_parts::<G>();
    let all = idle(&subject);
    subject.rig.machine.set_available_frames(0);
    let page = Rig::<G>::PAGE;
    let long = archipelago_testing::layout((all + 1) * page, 8);
    let ready = subject.rig.heap.stats().mapped_ready;
    let refused = subject.rig.allocate(long, AllocFlags::empty());
    assert!(refused.is_err(), "there are only {all} parts");
    let after = subject.rig.heap.stats();
    assert_eq!(after.mapped_ready, ready, "none loses its memory in vain");
    let free = after.of(archipelago::Purpose::Free) / page;
    assert_eq!(idle(&subject) + free, all, "they are idle or free");
    subject.check();
    // The pages of a span of objects of half a page.
    subject.plain(page / 2);
    assert!(idle(&subject) < all);
    subject.check();
}

/// Parts are found after the first pages of a range, and in every range.
fn they_are_found_wherever_they_are<G: SimGeometry>() {
    let arena = G::GEOMETRY.arena_bytes();
    let below = lone_window::<G>(2 * arena);
    let above = Window::new(below.base + 5 * arena, 2 * arena);
    let mut subject = Subject::<G>::on(&[below, above]);
    let most = elements::<G>(arena / 3 / Rig::<G>::PAGE);
    while subject.try_array(&POINTER, most).is_ok() {}
    while !subject.live.is_empty() {
        subject.free(0);
    }
    assert!(idle(&subject) > 0);
    subject.rig.heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(idle(&subject), 0);
    subject.check();
}

on_geometries_that_decommit!(
    parts_go_one_by_one,
    a_busy_machine_is_reported,
    a_machine_that_becomes_busy_ends_it,
    an_idle_part_makes_up_for_a_missing_frame,
    they_are_found_wherever_they_are,
);
