//! Frees of scannable objects that break a promise: the machine stops, and the bitmap is as it was.

use core::alloc::Layout;
use core::panic::AssertUnwindSafe;
use core::ptr::NonNull;
use std::panic::catch_unwind;

use archipelago::AllocFlags;
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, layout, on_every_geometry};

use crate::subject::{POINTER, Subject};

/// Attempts an invalid free and returns the kernel's report.
fn stopped<G: SimGeometry>(subject: &Subject<G>, pointer: NonNull<u8>, layout: Layout) -> String {
    let before = subject.rig.heap.stats();
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the call breaks the contract on purpose. The heap notices, and stops before it
        // changes anything.
        unsafe { subject.rig.heap.deallocate(pointer, layout) };
    }));
    let report = stopped.expect_err("the heap did not notice");
    assert_eq!(subject.rig.heap.stats(), before);
    subject.check();
    report.downcast_ref::<String>().expect("a report").clone()
}

fn a_wrong_free_leaves_the_bitmap_alone<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    let page = Rig::<G>::PAGE;
    for bytes in [64, 20 * page] {
        let words = bytes / Subject::<G>::WORD;
        subject.array(&POINTER, words);
        subject.array(&POINTER, words);
        let block = subject.live.last().expect("just now").block;
        for wrong in [8, 1024, 9 * page, 21 * page] {
            let text = stopped(&subject, block.pointer, layout(wrong, 8));
            assert!(text.contains("layout"), "{text}");
        }
        let inside = NonNull::new(block.pointer.as_ptr().wrapping_add(16)).expect("not null");
        for layout in [layout(64, 8), layout(20 * page, 8)] {
            let text = stopped(&subject, inside, layout);
            assert!(text.contains("not the start"), "{text}");
        }
        let freed = subject.live.len() - 1;
        subject.free(freed);
        let text = stopped(&subject, block.pointer, block.layout);
        assert!(text.contains("freed twice"), "{text}");
    }
}

/// A plain reallocation recognises a scannable object, and refuses to let it grow.
fn a_plain_growth_is_refused_and_changes_nothing<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    for bytes in [64, 20 * Rig::<G>::PAGE] {
        subject.array(&POINTER, bytes / Subject::<G>::WORD);
        let block = subject.live.last().expect("just now").block;
        for new in [bytes + 8, 3 * bytes] {
            let refused = subject.rig.resize(block, new, AllocFlags::empty());
            let cause = refused.expect_err("it is scannable").cause;
            assert_eq!(cause, archipelago::Cause::Scannable);
            subject.check();
        }
    }
}

/// A scannable object that shrinks without a description keeps that of the words that remain.
fn a_plain_shrink_keeps_what_remains<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    let word = Subject::<G>::WORD;
    for bytes in [64, 20 * Rig::<G>::PAGE] {
        subject.array(&POINTER, bytes / word);
        subject.array(&POINTER, bytes / word);
        let index = subject.live.len() - 2;
        for new in [bytes, bytes - 8, 40, 24, 8, 1] {
            let live = &mut subject.live[index];
            let shrunk = subject.rig.resize(live.block, new, AllocFlags::empty());
            let shrunk = shrunk.expect("a shrink never fails");
            assert_eq!(shrunk.pointer, live.block.pointer);
            live.block = shrunk;
            live.words.truncate(new.div_ceil(word));
            subject.check();
        }
        subject.free(index);
        subject.check();
    }
}

/// Where there is no memory for a smaller slot, an object that shrinks keeps its own, described or
/// not.
fn a_described_shrink_without_memory_stays<G: SimGeometry>() {
    const NUMBERS: archipelago::bits::PointerMap<'_> =
        archipelago::bits::PointerMap::from_mask(1, 0);
    let mut subject = Subject::<G>::new();
    let word = Subject::<G>::WORD;
    let bytes = 20 * Rig::<G>::PAGE;
    for _ in 0..2 {
        subject.array(&POINTER, bytes / word);
        subject.array(&POINTER, 256 / word);
    }
    // With these the scannable spans of 256 bytes are full.
    for _ in 0..30 {
        subject.array(&POINTER, 256 / word);
    }
    let fill = |subject: &Subject<G>| {
        // Slots of every size, so that no larger one is free either.
        for size in [20 * Rig::<G>::PAGE, Rig::<G>::PAGE]
            .into_iter()
            .chain((24..Rig::<G>::PAGE).rev().step_by(8))
        {
            while subject
                .rig
                .allocate(layout(size, 8), AllocFlags::NO_GROW)
                .is_ok()
            {}
        }
    };
    for index in 0..4 {
        let map = if index < 2 { &POINTER } else { &NUMBERS };
        let start = subject.live[index].block.pointer;
        for count in [96 / word, 24 / word] {
            fill(&subject);
            subject
                .try_resize(index, map, count, AllocFlags::NO_GROW)
                .expect("a shrink never fails");
            subject.check();
        }
        assert_eq!(subject.live[index].block.pointer, start);
    }
    while !subject.live.is_empty() {
        subject.free(0);
        subject.check();
    }
}

on_every_geometry!(
    a_wrong_free_leaves_the_bitmap_alone,
    a_plain_growth_is_refused_and_changes_nothing,
    a_plain_shrink_keeps_what_remains,
    a_described_shrink_without_memory_stays,
);
