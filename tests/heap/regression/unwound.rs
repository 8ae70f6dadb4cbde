//! A machine that panics while the heap comes online.

use alloc::sync::Arc;
use core::panic::AssertUnwindSafe;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::panic::catch_unwind;
use std::sync::Mutex;

use archipelago::{AllocFlags, Heap, Window};
use archipelago_api::{
    Busy, CommitError, Contents, Geometry, Machine, Patience, PrepareError, ReserveError, VirtAddr,
    VirtRange,
};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::{layout, lone_window};

/// A simulated machine that panics after so many calls, and owns memory that each call replaces.
struct Fragile {
    sim: Sim<Plain32>,
    calls_left: AtomicUsize,
    owned: Mutex<Vec<Arc<()>>>,
    token: Arc<()>,
}

impl Fragile {
    fn new(calls: usize, token: &Arc<()>) -> Self {
        Self {
            sim: Sim::default(),
            calls_left: AtomicUsize::new(calls),
            owned: Mutex::new(Vec::new()),
            token: Arc::clone(token),
        }
    }

    fn call(&self) {
        *self.owned.lock().expect("no panic came before") = vec![Arc::clone(&self.token)];
        let left = self.calls_left.load(Ordering::Relaxed);
        assert!(left > 0, "the machine panics, as planned");
        self.calls_left.store(left - 1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the simulated machine, which keeps the contract, or panics before it.
unsafe impl Machine for Fragile {
    const GEOMETRY: Geometry = <Sim<Plain32> as Machine>::GEOMETRY;

    type IndexRoot = <Sim<Plain32> as Machine>::IndexRoot;

    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        self.call();
        // SAFETY: the caller's promise is the same.
        unsafe { self.sim.reserve(range, patience) }
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        self.call();
        // SAFETY: the caller's promise is the same.
        unsafe { self.sim.prepare(range, patience) }
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        self.call();
        // SAFETY: the caller's promise is the same.
        unsafe { self.sim.commit(range, patience) }
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.call();
        // SAFETY: the caller's promise is the same.
        unsafe { self.sim.decommit(range, patience) }
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.call();
        // SAFETY: the caller's promise is the same.
        unsafe { self.sim.fault(range, patience) }
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.call();
        // SAFETY: the caller's promise is the same.
        unsafe { self.sim.release(range, patience) }
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        self.sim.pointer(addr)
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.sim.address(pointer)
    }
}

/// The machine is dropped once, as it was when a call of it panicked, whichever it was; and the
/// heap comes online with another machine.
#[test]
fn a_machine_that_panics_in_init_is_dropped_once() {
    let windows: [Window; 2] = [
        lone_window::<Plain32>(1 << 24),
        Window::new(lone_window::<Plain32>(1 << 24).base + (1 << 26), 1 << 24),
    ];
    for calls in 0.. {
        let token = Arc::new(());
        let heap: Box<Heap<Fragile, Hosted>> = Box::default();
        let init = || heap.init(&windows, Fragile::new(calls, &token));
        let outcome = catch_unwind(AssertUnwindSafe(init));
        if let Ok(opened) = outcome {
            opened.expect("good windows and enough memory");
            assert!(calls >= 3, "init reserves two windows and makes metadata");
            break;
        }
        assert_eq!(Arc::strong_count(&token), 1, "after {calls} calls");
        let sound = heap.init(&windows, Fragile::new(usize::MAX, &token));
        sound.expect("the heap is as it was");
        let object = heap.allocate(layout(100, 8), AllocFlags::empty());
        object.expect("memory");
        heap.verify().expect("sound");
    }
}
