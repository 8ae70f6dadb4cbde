//! A mapper that allocates without ATOMIC is reported, whatever the heap was doing.

use alloc::sync::Arc;
use core::panic::AssertUnwindSafe;
use std::panic;

use archipelago::AllocFlags;
use archipelago_sim::{Kind, Sim, SimGeometry};
use archipelago_testing::{Rig, layout, on_geometries_that_decommit};

use super::{CALLS, LARGE, inside, provoke, shared, window};

/// The report with which the heap stops the machine.
const REPORT: &str =
    "the mapper or frame allocator allocated from within a call of the heap without ATOMIC";

/// Runs `work`, which has to stop the machine, and returns the report.
fn stopped(work: impl FnOnce()) -> String {
    let stopped = panic::catch_unwind(AssertUnwindSafe(work));
    let message = stopped.expect_err("the machine goes on");
    let message = message.downcast_ref::<String>();
    message.expect("a panic with a message").clone()
}

/// Ordinary requests from within every kind of call, also those that could be served without
/// growing.
fn a_machine_that_allocates_is_reported<G: SimGeometry>() {
    for kind in CALLS {
        for flags in [AllocFlags::empty(), AllocFlags::NO_GROW, AllocFlags::ZEROED] {
            for size in [24, LARGE] {
                let rig = shared::<G>(Sim::builder().build());
                let _hook = {
                    let heap = Arc::clone(&rig);
                    inside(&rig, kind, move |_| {
                        heap.heap.allocate(layout(size, 8), flags).ok();
                    })
                };
                let message = stopped(|| provoke(&rig, kind));
                assert!(message.contains(REPORT), "{kind}: {message}");
            }
        }
    }
}

/// Reallocations that have to move. Requests through `GlobalAlloc` end the program there.
fn a_machine_that_reallocates_is_reported<G: SimGeometry>() {
    let rig = shared::<G>(Sim::builder().build());
    let block = super::Sent(rig.get(24, 8));
    let _hook = {
        let (heap, block) = (Arc::clone(&rig), std::sync::Mutex::new(block));
        inside(&rig, Kind::Commit, move |_| {
            let super::Sent(block) = *block.lock().expect("no thread panicked");
            heap.resize(block, LARGE, AllocFlags::empty()).ok();
        })
    };
    let message = stopped(|| provoke(&rig, Kind::Commit));
    assert!(message.contains(REPORT), "{message}");
}

/// Requests from within `init`, whether it succeeds or fails.
fn a_machine_that_allocates_during_init_is_reported<G: SimGeometry>() {
    for kind in [Kind::Reserve, Kind::Prepare, Kind::Commit, Kind::Release] {
        let rig = Arc::new(Rig::<G>::uninitialised(Sim::builder().build()));
        if kind == Kind::Release {
            // There is no frame for the first metadata.
            rig.machine.set_available_frames(0);
        }
        let _hook = {
            let heap = Arc::clone(&rig);
            inside(&rig, kind, move |_| {
                heap.heap.allocate(layout(24, 8), AllocFlags::empty()).ok();
            })
        };
        let message = stopped(|| drop(rig.init(&[window::<G>(0, 1)])));
        assert!(message.contains(REPORT), "{kind}: {message}");
    }
}

/// Other operations that call the machine lead to the same report.
fn a_machine_that_grows_the_heap_is_reported<G: SimGeometry>() {
    let ways: [fn(&Rig<G>); 3] = [
        |rig| {
            rig.heap.add_window(window::<G>(30, 1)).ok();
        },
        |rig| {
            rig.heap.set_reserve(100).ok();
        },
        |rig| {
            rig.heap.scavenge(1).ok();
        },
    ];
    for way in ways {
        let rig = shared::<G>(Sim::builder().build());
        let _hook = {
            let heap = Arc::clone(&rig);
            inside(&rig, Kind::Commit, move |_| way(&heap))
        };
        let message = stopped(|| provoke(&rig, Kind::Commit));
        assert!(message.contains(REPORT), "{message}");
    }
}

on_geometries_that_decommit!(
    a_machine_that_allocates_is_reported,
    a_machine_that_reallocates_is_reported,
    a_machine_that_allocates_during_init_is_reported,
    a_machine_that_grows_the_heap_is_reported,
);
