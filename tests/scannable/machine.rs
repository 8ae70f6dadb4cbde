//! Scannable requests and the machine: reports of misuse, and the reserve.

use alloc::sync::Arc;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use archipelago::bits::Description;
use archipelago::{AllocFlags, Purpose};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, layout, on_every_geometry};

use crate::subject::{POINTER, Subject};

/// A mapper that asks for a scannable object without ATOMIC is reported.
fn a_machine_that_allocates_is_reported<G: SimGeometry>() {
    for bytes in [64, 20 * Rig::<G>::PAGE] {
        for flags in [AllocFlags::empty(), AllocFlags::NO_GROW] {
            let rig = Arc::new(Rig::<G>::new());
            let object = Description::array(const { &POINTER }, 8);
            let heap = Arc::clone(&rig);
            rig.machine.on_call(move |_| {
                heap.heap
                    .allocate_scannable(layout(bytes, 8), &object, flags)
                    .ok();
            });
            let stopped = catch_unwind(AssertUnwindSafe(|| {
                rig.heap.allocate(layout(24, 8), AllocFlags::empty()).ok()
            }));
            rig.machine.clear_hook();
            let report = stopped.expect_err("the machine goes on");
            let report = report.downcast_ref::<String>().expect("a report");
            assert!(report.contains("without ATOMIC"), "{report}");
        }
    }
}

/// A scannable request refills the reserve as an ordinary one does.
fn a_scannable_request_refills_the_reserve<G: SimGeometry>() {
    let mut subject = Subject::<G>::new();
    let (page, full) = (Rig::<G>::PAGE, 8 * Rig::<G>::PAGE);
    subject.rig.heap.set_reserve(8).expect("memory");
    subject.rig.machine.set_available_frames(0);
    for size in [64 * page, page, 64, 8] {
        while let Ok(block) = subject.rig.allocate(layout(size, 8), AllocFlags::empty()) {
            let words = Vec::new();
            subject.live.push(crate::subject::Live { block, words });
        }
    }
    let taken = subject.rig.allocate(layout(page, 8), AllocFlags::ATOMIC);
    let (block, words) = (taken.expect("a page of the reserve"), Vec::new());
    subject.live.push(crate::subject::Live { block, words });
    let reserve = |subject: &Subject<G>| subject.rig.heap.stats().of(Purpose::Reserve);
    assert!(reserve(&subject) < full);
    subject.rig.machine.set_available_frames(1000);
    subject.array(&POINTER, 20);
    assert_eq!(reserve(&subject), full);
    subject.check();
}

on_every_geometry!(
    a_machine_that_allocates_is_reported,
    a_scannable_request_refills_the_reserve,
);
