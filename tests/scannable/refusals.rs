//! Scannable requests that are refused leave nothing.

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocError, AllocFlags, Cause, Purpose};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, layout, on_every_geometry, on_geometries_that_decommit};

use crate::subject::{POINTER, SIX, Subject};

const NONE: AllocFlags = AllocFlags::empty();

/// Requests `bytes` bytes for `count` pointers.
fn request<G: SimGeometry>(
    subject: &Subject<G>,
    bytes: usize,
    count: usize,
) -> Result<usize, Cause> {
    let object = Description::array(&POINTER, count);
    let memory = subject
        .rig
        .heap
        .allocate_scannable(layout(bytes, 8), &object, NONE);
    memory
        .map(|memory| memory.len())
        .map_err(|error: AllocError| error.cause)
}

/// A description that does not fit is refused alike with a free slot, with a span to be made, and
/// with a run.
fn too_long_for_its_memory<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    for bytes in [64, 9 * Rig::<G>::PAGE] {
        let words = bytes / Subject::<G>::WORD;
        let too_long = Err(Cause::Description {
            bytes: bytes + Subject::<G>::WORD,
            room: bytes,
        });
        assert_eq!(request(&subject, bytes, words + 1), too_long);
        subject.check();
        // Now with a span that has slots, or free pages that bitmap covers.
        subject.array(&POINTER, words);
        subject.array(&POINTER, words);
        let freed = subject.live.len() - 2;
        let base = subject.rig.address(subject.live[freed].block);
        subject.free(freed);
        let before = subject.rig.heap.stats();
        for _ in 0..3 {
            assert_eq!(request(&subject, bytes, words + 1), too_long);
        }
        let mut after = subject.rig.heap.stats();
        assert_eq!(after.refusals, before.refusals + 3, "they are counted");
        after.refusals = before.refusals;
        assert_eq!(after, before, "the refusals change nothing");
        subject.check();
        let again = subject.array(&POINTER, words).block;
        if bytes < Rig::<G>::PAGE {
            assert_eq!(subject.rig.address(again), base, "the slot is free");
        }
        subject.check();
    }
}

/// A description that is too long for the new size changes nothing, wherever the memory of the
/// object would have come from.
fn too_long_for_the_new_size<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    let page = Rig::<G>::PAGE;
    for (old, new) in [(64, 64), (64, 128), (9 * page, 9 * page), (9 * page, 64)] {
        let words = old / Subject::<G>::WORD;
        subject.array(&POINTER, words);
        let block = subject.live.last().expect("just now").block;
        let object = Description::array(&SIX, new);
        // SAFETY: the object is live; refused, it stays so.
        let refused = unsafe {
            let (heap, new) = (&subject.rig.heap, layout(new, 8));
            heap.reallocate_scannable(block.pointer, block.layout, new, &object, NONE)
        };
        let cause = refused.expect_err("it does not fit").cause;
        let bytes = new * SIX.words() * Subject::<G>::WORD;
        assert_eq!(cause, Cause::Description { bytes, room: new });
        subject.check();
    }
}

/// An object with a layout without bytes has no words to describe.
fn without_bytes_there_are_no_pointers<G: SimGeometry>() {
    const NUMBERS: PointerMap<'_> = PointerMap::from_mask(3, 0);
    let subject = Subject::<G>::new();
    let bytes = Subject::<G>::WORD;
    let refused = Err(Cause::Description { bytes, room: 0 });
    assert_eq!(request(&subject, 0, 1), refused);
    subject.check();
    let nothing = Description::one(&NUMBERS);
    let memory = subject
        .rig
        .heap
        .allocate_scannable(layout(0, 8), &nothing, NONE);
    assert_eq!(memory.expect("nothing").len(), 0);
    subject.check();
}

on_every_geometry!(
    too_long_for_its_memory,
    too_long_for_the_new_size,
    without_bytes_there_are_no_pointers,
);

/// An object of several parts with room for some of its pages, then for all of them and for some
/// of its parts, and for one more at a time until it is served: each refusal leaves no more memory
/// Ready than there was, and has the figures of all that was missing.
fn a_refusal_at_any_part_gives_back_what_was_made<G: SimGeometry>() {
    const PAGES: usize = 100;
    let page = Rig::<G>::PAGE;
    let mut subject = Subject::<G>::new();
    subject.array(&POINTER, 1);
    subject.rig.heap.scavenge(usize::MAX).expect("not busy");
    let memory = |subject: &Subject<G>| {
        let stats = subject.rig.heap.stats();
        let of = |purpose| stats.of(purpose);
        let kept = [Purpose::Objects, Purpose::Free, Purpose::HeapBits].map(of);
        (kept, stats.mapped_ready - stats.metadata())
    };
    let words = PAGES * page / Subject::<G>::WORD;
    let mut refusals = 0;
    loop {
        let before = memory(&subject);
        let limit = subject.rig.heap.stats().mapped_ready + refusals * page;
        subject.rig.heap.set_limit(limit);
        let result = request(&subject, PAGES * page, words);
        subject.rig.heap.set_limit(usize::MAX);
        let Err(cause) = result else {
            break;
        };
        let Cause::Limit {
            bytes,
            mapped_ready,
            ..
        } = cause
        else {
            panic!("{cause}");
        };
        assert!(mapped_ready + bytes > limit, "{cause}");
        assert_eq!(memory(&subject), before, "{cause}");
        subject.check();
        refusals += 1;
    }
    assert!(refusals > PAGES, "{refusals}: the parts were refused, too");
}

on_geometries_that_decommit!(a_refusal_at_any_part_gives_back_what_was_made);
