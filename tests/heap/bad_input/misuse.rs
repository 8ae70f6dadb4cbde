//! Frees that break the contract stop the kernel, with a report that names the address, the span,
//! the class and the fault.

use core::alloc::Layout;
use core::panic::AssertUnwindSafe;
use core::ptr::NonNull;
use std::panic::catch_unwind;

use archipelago::{AllocFlags, SpanView, VirtAddr};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Block, Rig, layout};

/// The report of a kernel that the heap stops during `work`. The heap stays usable afterwards, for
/// the test alone.
pub(crate) fn stopped<G: SimGeometry>(rig: &Rig<G>, work: impl FnOnce()) -> String {
    let before = rig.heap.stats();
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let panic = outcome.expect_err("the heap did not notice");
    let text = panic.downcast_ref::<String>().expect("a report").clone();
    assert_eq!(
        rig.heap.stats(),
        before,
        "a refused call has no effect: {text}"
    );
    rig.check();
    rig.verify();
    text
}

/// Frees `pointer` as `layout` in vain.
fn refused<G: SimGeometry>(rig: &Rig<G>, pointer: NonNull<u8>, layout: Layout) -> String {
    // SAFETY: the call breaks the contract on purpose. The heap notices, and stops before it
    // changes anything.
    stopped(rig, || unsafe { rig.heap.deallocate(pointer, layout) })
}

/// The span that holds `address`.
fn span_of<G: SimGeometry>(rig: &Rig<G>, address: VirtAddr) -> Option<SpanView> {
    let mut found = None;
    rig.heap.for_each_span(|span| {
        if address
            .bytes_above(span.base)
            .is_some_and(|above| above < span.bytes)
        {
            found = Some(span);
        }
    });
    found
}

/// The exact text of the reports.
fn report<G: SimGeometry>(
    rig: &Rig<G>,
    pointer: NonNull<u8>,
    wrong: &str,
    layout: Layout,
) -> String {
    let address = archipelago::Machine::address(&rig.machine, pointer).expect("in a window");
    let start = format!(
        "archipelago: {address}: {wrong}; layout: {} bytes aligned to {}",
        layout.size(),
        layout.align()
    );
    let Some(span) = span_of(rig, address) else {
        return start;
    };
    let what = match span.class {
        Some(class) => format!("class {class} ({} bytes a slot)", span.slot_bytes),
        None => String::from("one large object"),
    };
    format!(
        "{start}; span at {} of {} bytes, {what}",
        span.base, span.bytes
    )
}

/// The pointer `bytes` above the start of a block, wherever that is.
fn above(block: Block, bytes: usize) -> NonNull<u8> {
    let pointer = block.pointer.as_ptr().wrapping_add(bytes);
    NonNull::new(pointer).expect("not null")
}

fn a_slot_is_freed_once<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let (block, other) = (rig.get(64, 8), rig.get(64, 8));
    rig.free(block);
    let text = refused(&rig, block.pointer, block.layout);
    assert_eq!(
        text,
        report(&rig, block.pointer, "freed twice", block.layout)
    );
    assert!(text.contains("span at"), "{text}");
    rig.free(other);
}

fn an_object_whose_span_is_gone_is_freed_once<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let blocks = [40 * Rig::<G>::PAGE, 64].map(|size| rig.get(size, 8));
    for block in blocks {
        rig.free(block);
    }
    // Empty spans are given back, so that the spans no longer exist.
    rig.heap.scavenge(0).expect("the machine is not in use");
    for block in blocks {
        let text = refused(&rig, block.pointer, block.layout);
        assert_eq!(
            text,
            report(&rig, block.pointer, "freed twice", block.layout)
        );
        assert!(!text.contains("span at"), "{text}");
    }
}

fn an_address_inside_an_object_is_none<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    for size in [64, 1024, 40 * Rig::<G>::PAGE] {
        let block = rig.get(size, 8);
        for inside in [1, 8, block.bytes / 2, block.bytes - 1] {
            let pointer = above(block, inside);
            let text = refused(&rig, pointer, block.layout);
            assert_eq!(
                text,
                report(&rig, pointer, "not the start of an object", block.layout)
            );
        }
        rig.free(block);
    }
}

fn a_slot_that_was_never_handed_out_is_not_freed<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let block = rig.get(64, 8);
    let text = refused(&rig, above(block, block.bytes), block.layout);
    assert_eq!(
        text,
        report(&rig, above(block, block.bytes), "freed twice", block.layout)
    );
    rig.free(block);
}

fn the_end_of_a_span_holds_no_object<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let mut tried = 0;
    for size in (8..=2048).step_by(8) {
        let block = rig.get(size, 8);
        let span = span_of(&rig, rig.address(block)).expect("a span");
        if span.class.is_some() && span.slots * span.slot_bytes < span.bytes {
            let tail = above(block, span.slots * span.slot_bytes);
            let text = refused(&rig, tail, block.layout);
            assert_eq!(
                text,
                report(&rig, tail, "not the start of an object", block.layout)
            );
            tried += 1;
        }
        rig.free(block);
    }
    assert!(tried > 5, "{tried} classes have a tail");
}

fn an_object_has_one_layout<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let page = Rig::<G>::PAGE;
    let small = rig.get(64, 8);
    let large = rig.get(40 * page, 8);
    let wrong = [
        (small, layout(small.bytes + 1, 8)),
        (small, layout(small.bytes / 2, 8)),
        (small, layout(64, 4 * page)),
        (small, layout(40 * page, 8)),
        (large, layout(64, 8)),
        (large, layout(41 * page, 8)),
        (large, layout(39 * page, 8)),
        (large, layout(usize::MAX / 4, 8)),
        (large, layout(40 * page, 1 << (usize::BITS - 2))),
    ];
    for (block, wrong) in wrong {
        let text = refused(&rig, block.pointer, wrong);
        let said = report(
            &rig,
            block.pointer,
            "not the layout it was allocated with",
            wrong,
        );
        assert_eq!(text, said);
    }
    rig.free(small);
    rig.free(large);
}

fn an_alignment_that_an_object_does_not_have_is_noticed<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let (small, page) = (rig.get(24, 8), Rig::<G>::PAGE);
    let large = rig.get(40 * page, 8);
    let shift = rig.address(large).value().trailing_zeros();
    for (block, wrong) in [
        (small, layout(24, 32)),
        (large, layout(40 * page, 2 << shift)),
    ] {
        let text = refused(&rig, block.pointer, wrong);
        assert!(
            text.contains("not the layout it was allocated with"),
            "{text}"
        );
        rig.free(block);
    }
}

fn reallocating_a_missing_object_is_noticed<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let (block, other) = (rig.get(64, 8), rig.get(64, 8));
    rig.free(block);
    let new = layout(200, 8);
    let again = |pointer, old| {
        let realloc = || {
            // SAFETY: the call breaks the contract on purpose. The heap notices, and stops before
            // it changes anything.
            let result = unsafe { rig.heap.reallocate(pointer, old, new, AllocFlags::empty()) };
            assert!(result.is_ok(), "it stops, and refuses nothing");
        };
        stopped(&rig, realloc)
    };
    let text = again(block.pointer, block.layout);
    assert_eq!(
        text,
        report(&rig, block.pointer, "freed twice", block.layout)
    );
    let wrong = layout(2000, 8);
    let text = again(other.pointer, wrong);
    let said = report(
        &rig,
        other.pointer,
        "not the layout it was allocated with",
        wrong,
    );
    assert_eq!(text, said);
    rig.free(other);
}

archipelago_testing::on_every_geometry!(
    a_slot_is_freed_once,
    an_object_whose_span_is_gone_is_freed_once,
    an_address_inside_an_object_is_none,
    a_slot_that_was_never_handed_out_is_not_freed,
    the_end_of_a_span_holds_no_object,
    an_object_has_one_layout,
    an_alignment_that_an_object_does_not_have_is_noticed,
    reallocating_a_missing_object_is_noticed,
);
