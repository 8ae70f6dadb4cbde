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

/// A plain free and a plain reallocation both recognise a scannable object.
fn a_plain_change_of_size_is_refused_and_changes_nothing<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    for bytes in [64, 20 * Rig::<G>::PAGE] {
        subject.array(&POINTER, bytes / Subject::<G>::WORD);
        let block = subject.live.last().expect("just now").block;
        for new in [8, bytes - 8, bytes + 8, 3 * bytes] {
            let refused = subject.rig.resize(block, new, AllocFlags::empty());
            let cause = refused.expect_err("it is scannable").cause;
            assert_eq!(cause, archipelago::Cause::Scannable);
            subject.check();
        }
    }
}

on_every_geometry!(
    a_wrong_free_leaves_the_bitmap_alone,
    a_plain_change_of_size_is_refused_and_changes_nothing,
);
