//! Scannable requests that must not call the machine: which are served, and in what state they
//! leave the heap.

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, on_every_geometry};

use crate::subject::{POINTER, Subject};

const FLAGS: [AllocFlags; 2] = [AllocFlags::NO_GROW, AllocFlags::ATOMIC];

/// Pages that several parts of the bitmap cover, with words of any size.
const LONG: usize = 100;

/// Numbers of one-pointer elements, each of another size class.
const SIZES: [usize; 3] = [2, 20, 60];

fn elements<G: SimGeometry>(pages: usize) -> usize {
    pages * Rig::<G>::PAGE / Subject::<G>::WORD
}

fn assert_refused<G: SimGeometry>(subject: &mut Subject<G>, count: usize, flags: AllocFlags) {
    // What is kept is given back first, as it is by a request.
    assert_eq!(subject.rig.heap.scavenge(0), Ok(0), "nothing was asked for");
    let before = subject.rig.heap.stats();
    let error = subject
        .try_array_with(&POINTER, count, flags)
        .expect_err("no bitmap");
    assert!(matches!(error.cause, Cause::NotReady { .. }), "{error}");
    let mut after = subject.rig.heap.stats();
    assert_eq!(after.refusals, before.refusals + 1, "it is counted");
    after.refusals = before.refusals;
    assert_eq!(after, before, "the refusal changes nothing");
    subject.check();
}

/// A free slot serves every request. Free pages serve it only if the bitmap that covers the lowest
/// run that is long enough is Ready.
fn a_slot_or_pages_with_bitmap<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    // Free pages that are Ready, and no bitmap.
    subject.plain(LONG * Rig::<G>::PAGE);
    subject.plain(LONG * Rig::<G>::PAGE);
    subject.free(0);
    for flags in FLAGS {
        assert_refused(&mut subject, SIZES[0], flags);
        assert_refused(&mut subject, elements::<G>(9), flags);
    }
    // This object lies in the lowest of the free pages, so that its part of the bitmap covers them.
    subject.array(&POINTER, SIZES[0]);
    for (flags, size) in FLAGS.into_iter().zip(&SIZES[1..]) {
        for count in [SIZES[0], *size] {
            let served = subject.try_array_with(&POINTER, count, flags);
            assert_eq!(served, Ok(()), "{count} words, {flags:?}");
        }
        // After the part there is no bitmap.
        assert_refused(&mut subject, elements::<G>(60), flags);
    }
    subject.check();
}

/// An atomic request that the lowest pages cannot serve takes pages of the reserve if bitmap covers
/// them. Where none does, the reserve stays as it is.
fn a_reserve_serves_where_it_has_bitmap<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    subject.plain(LONG * Rig::<G>::PAGE);
    subject.array(&POINTER, SIZES[0]);
    let heap = &subject.rig.heap;
    heap.set_reserve(8).expect("memory");
    // These are the lowest free pages from now on, and no bitmap covers them.
    subject.free(0);
    let reserve = |subject: &Subject<G>| subject.rig.heap.stats().of(Purpose::Reserve);
    let full = reserve(&subject);
    assert_refused(&mut subject, SIZES[1], AllocFlags::NO_GROW);
    let served = subject.try_array_with(&POINTER, SIZES[1], AllocFlags::ATOMIC);
    assert_eq!(served, Ok(()), "a span beside the first");
    assert!(reserve(&subject) < full);
    subject.check();
    while !subject.live.is_empty() {
        subject.free(0);
    }
    subject.rig.heap.set_reserve(0).expect("nothing to do");
    subject.check();
}

/// However often such a request is refused, nothing moves.
fn a_reserve_without_bitmap_is_left_alone<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    subject.plain(100);
    subject.rig.heap.set_reserve(8).expect("memory");
    for _ in 0..20 {
        assert_refused(&mut subject, SIZES[0], AllocFlags::ATOMIC);
    }
    let plain = subject.rig.heap.stats().of(Purpose::Reserve);
    assert_eq!(plain, 8 * Rig::<G>::PAGE, "it is there for others");
}

on_every_geometry!(
    a_slot_or_pages_with_bitmap,
    a_reserve_serves_where_it_has_bitmap,
    a_reserve_without_bitmap_is_left_alone,
);
