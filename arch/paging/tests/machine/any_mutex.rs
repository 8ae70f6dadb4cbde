//! Mutexes of the `lock_api` crate as the kernel's locks, whatever raw lock they are made of.

use core::sync::atomic::{AtomicBool, Ordering};

use archipelago_paging::Locked;
use lock_api::{GuardNoSend, RawMutex};
use spin::RelaxStrategy as _;

use crate::locks::{
    ONE_HOLDER, Scheduled, every_call_is_busy, in_every_state, leak, shared, while_held,
};
use crate::physical::Pages;
use crate::source::Source;

/// A lock of a kernel that preempts threads: who waits lets the holder run.
struct Yielding(AtomicBool);

// SAFETY: a successful exchange is exclusive, until the holder stores that it is not held.
unsafe impl RawMutex for Yielding {
    const INIT: Self = Self(AtomicBool::new(false));

    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        while !self.try_lock() {
            Scheduled::relax();
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

type Guarded<L, T> = &'static lock_api::Mutex<L, T>;

fn pair<L: RawMutex>(source: &Source) -> Guarded<L, (Pages, Source)> {
    leak(lock_api::Mutex::new((
        Pages::over(source.physical),
        *source,
    )))
}

fn two<L: RawMutex>(source: &Source) -> (Guarded<L, Pages>, Guarded<L, Source>) {
    (
        leak(lock_api::Mutex::new(Pages::over(source.physical))),
        leak(lock_api::Mutex::new(*source)),
    )
}

#[test]
fn a_mutex_that_is_held_makes_every_call_busy_and_changes_nothing() {
    let source = Source::new(256);
    let pair = pair::<parking_lot::RawMutex>(&source);
    let machine = shared(&source, pair);
    in_every_state(&machine);
    let held = pair.lock();
    every_call_is_busy(&source, &machine);
    drop(held);

    let source = Source::new(256);
    let (mapper, frames) = two::<parking_lot::RawMutex>(&source);
    let machine = shared(&source, (mapper, frames));
    in_every_state(&machine);
    let held = mapper.lock();
    every_call_is_busy(&source, &machine);
    drop(held);
    let held = frames.lock();
    every_call_is_busy(&source, &machine);
    // The other lock was not kept.
    assert!(!mapper.is_locked());
    drop(held);
}

#[test]
fn a_caller_that_waits_does_so_in_the_raw_lock_and_holds_no_other() {
    let _one = ONE_HOLDER.lock();
    let source = Source::new(256);
    let pair = pair::<Yielding>(&source);
    let hold = move |stop: &dyn Fn()| {
        let _held = pair.lock();
        stop();
    };
    while_held(hold, || in_every_state(&shared(&source, pair)));

    let source = Source::new(256);
    let (mapper, frames) = two::<Yielding>(&source);
    let hold = move |stop: &dyn Fn()| {
        let held = frames.lock();
        stop();
        // The kernel takes the locks in the other order: a caller that kept the first would hang.
        drop(mapper.lock());
        drop(held);
    };
    while_held(hold, || in_every_state(&shared(&source, (mapper, frames))));
}

#[test]
fn waiting_for_another_call_waits_for_the_holder() {
    let _one = ONE_HOLDER.lock();
    let source = Source::new(16);
    let pair = pair::<Yielding>(&source);
    let hold = move |stop: &dyn Fn()| {
        let _held = pair.lock();
        stop();
    };
    while_held(hold, || Locked::<Pages, Source>::relax(&pair));
    assert!(!pair.is_locked(), "it kept the lock");

    let (mapper, frames) = two::<Yielding>(&source);
    let hold = move |stop: &dyn Fn()| {
        let _held = mapper.lock();
        stop();
    };
    while_held(hold, || {
        Locked::<Pages, Source>::relax(&(mapper, frames));
    });
    assert!(!mapper.is_locked(), "it kept the lock");
}
