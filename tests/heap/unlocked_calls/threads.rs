//! Threads are told apart by every bit of their numbers, and any number may be a thread's; who
//! finds Ready pages waits for no other thread.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::AllocFlags;
use archipelago_api::{InterruptState, Kernel};
use archipelago_sim::{Hosted, Kind, Sim, SimGeometry};
use archipelago_testing::{layout, on_geometries_that_decommit};

use super::{LARGE, apart, check, inside, provoke, shared, wait};

/// Runs `work` with interrupts as `state` says.
fn with_interrupts(state: InterruptState, work: impl FnOnce()) {
    let before = Hosted::disable_interrupts();
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(state) };
    work();
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(before) };
}

/// While one thread is inside the machine, another that differs from it in one bit allocates. It
/// may not wait, because the two take turns on one CPU here, so its interrupts are masked, as those
/// of the first are.
fn threads_differ_in_any_bit<G: SimGeometry>() {
    for first in [0, 0x4000_1000, usize::MAX, usize::MAX / 2] {
        let rig = shared::<G>(Sim::builder().build());
        let calls = Arc::new(AtomicUsize::new(0));
        let _hook = {
            let (heap, calls) = (Arc::clone(&rig), Arc::clone(&calls));
            inside(&rig, Kind::Commit, move |_| {
                for bit in 0..usize::BITS {
                    Hosted::set_thread(first ^ 1 << bit);
                    // Served from Ready memory, or refused; never reported.
                    if let Ok(block) = heap.allocate(layout(LARGE, 8), AllocFlags::empty()) {
                        heap.free(block);
                    }
                }
                Hosted::set_thread(first);
                calls.fetch_add(1, Ordering::Relaxed);
            })
        };
        Hosted::set_thread(first);
        with_interrupts(InterruptState::Masked, || provoke(&rig, Kind::Commit));
        assert!(calls.load(Ordering::Relaxed) > 0);
        check(&rig);
    }
}

/// While one thread is inside the machine, another finds runs that are Ready, short and long.
fn ready_pages_are_found_without_the_machine<G: SimGeometry>() {
    let rig = shared::<G>(Sim::builder().build());
    let none = AllocFlags::empty();
    let take = |count| -> Vec<_> {
        let pages = rig.heap.pages();
        let run = || pages.allocate(1, 1, none).expect("memory");
        core::iter::repeat_with(run).take(count).collect()
    };
    // All that is low is Ready afterwards, some of it is in use, and so is a page above, so that
    // growth begins higher.
    let mut low = take(201);
    let above = low.pop();
    drop(low);
    let used = take(64);
    let served = Arc::new(AtomicUsize::new(0));
    let _hook = {
        let (heap, served) = (Arc::clone(&rig), Arc::clone(&served));
        inside(&rig, Kind::Commit, move |_| {
            if served.load(Ordering::Relaxed) > 0 {
                return;
            }
            let heap = Arc::clone(&heap);
            let other = apart(move || {
                let pages = heap.heap.pages();
                let runs = [1, 20].map(|count| pages.allocate(count, 1, none));
                runs.iter().filter(|run| run.is_ok()).count()
            });
            served.store(wait(&other, "Ready pages"), Ordering::Relaxed);
        })
    };
    provoke(&rig, Kind::Commit);
    assert_eq!(served.load(Ordering::Relaxed), 2);
    drop((used, above));
    check(&rig);
}

on_geometries_that_decommit!(
    threads_differ_in_any_bit,
    ready_pages_are_found_without_the_machine
);
