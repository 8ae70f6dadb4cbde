//! `GlobalAlloc` under the standard library's collections: this binary's own allocator hands
//! requests to the heap while a test asks for it.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

extern crate alloc;

use alloc::collections::BTreeMap;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::hint::black_box;
use core::ptr::NonNull;
use std::alloc::System;
use std::sync::{Mutex, Once, PoisonError};

use archipelago::{EarlyRegion, Heap, Machine};
use archipelago_sim::{Hosted, Plain32, Sim};
use archipelago_testing::lone_window;

static EARLY: EarlyRegion<4096> = EarlyRegion::new();
static HEAP: Heap<Sim<Plain32>, Hosted> = Heap::with_early(&EARLY);

/// Bytes of the heap's window.
const WINDOW: usize = 32 << 20;

thread_local! {
    /// Whether requests of this thread go to the heap.
    static ROUTED: Cell<bool> = const { Cell::new(false) };
}

/// Hands requests to the heap, or to the host: the simulated machine allocates from the host.
struct Routed;

#[global_allocator]
static GLOBAL: Routed = Routed;

impl Routed {
    /// Runs `work` with requests going to the host.
    fn aside<R>(work: impl FnOnce() -> R) -> R {
        let routed = ROUTED.replace(false);
        let result = work();
        ROUTED.set(routed);
        result
    }
}

/// The machine, which tells blocks of the heap from the host's.
static MACHINE: Mutex<Option<Sim<Plain32>>> = Mutex::new(None);

fn is_heaps(pointer: *mut u8) -> bool {
    let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let address = NonNull::new(pointer).and_then(|pointer| machine.as_ref()?.address(pointer));
    address.is_some_and(|address| HEAP.owns(address))
}

// SAFETY: each request goes to one of two allocators, and a free goes to the one that owns the
// block.
unsafe impl GlobalAlloc for Routed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ROUTED.get() {
            // SAFETY: the caller keeps the callee's contract, which this method shares.
            Self::aside(|| unsafe { HEAP.alloc(layout) })
        } else {
            // SAFETY: the caller keeps the callee's contract, which this method shares.
            unsafe { System.alloc(layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if ROUTED.get() {
            // SAFETY: the caller keeps the callee's contract, which this method shares.
            Self::aside(|| unsafe { HEAP.alloc_zeroed(layout) })
        } else {
            // SAFETY: the caller keeps the callee's contract, which this method shares.
            unsafe { System.alloc_zeroed(layout) }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if ROUTED.get() && Self::aside(|| is_heaps(pointer)) {
            // SAFETY: the caller keeps the contract, and the block is the heap's.
            Self::aside(|| unsafe { HEAP.dealloc(pointer, layout) });
        } else {
            // SAFETY: the caller keeps the contract, and the block is the host's: a block that is
            // allocated while requests are routed is freed while they are.
            unsafe { System.dealloc(pointer, layout) };
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ROUTED.get() && Self::aside(|| is_heaps(pointer)) {
            // SAFETY: the caller keeps the contract, and the block is the heap's.
            Self::aside(|| unsafe { HEAP.realloc(pointer, layout, size) })
        } else {
            // SAFETY: the caller keeps the contract, and the block is the host's.
            unsafe { System.realloc(pointer, layout, size) }
        }
    }
}

/// Runs `work` with the heap as this thread's allocator, and checks that it frees all that it
/// allocates.
fn on_the_heap(work: impl FnOnce()) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static OPENED: Once = Once::new();
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    OPENED.call_once(|| {
        let machine = Sim::<Plain32>::default();
        HEAP.init(&[lone_window::<Plain32>(WINDOW)], machine.clone())
            .expect("init");
        *MACHINE.lock().unwrap_or_else(PoisonError::into_inner) = Some(machine);
    });
    ROUTED.set(true);
    work();
    ROUTED.set(false);
    assert_eq!(HEAP.stats().small_objects, 0, "everything was dropped");
    assert_eq!(HEAP.verify(), Ok(()));
}

#[test]
fn collections_live_on_the_heap() {
    on_the_heap(|| {
        let mut map = BTreeMap::new();
        for number in 0..5000_u32 {
            map.insert(number.wrapping_mul(2_654_435_761), number.to_string());
        }
        let words: Vec<&str> = map.values().map(String::as_str).collect();
        assert_eq!(words.concat().len(), 18_890);
        let boxed: Box<[u64]> = (0..10_000).collect();
        assert_eq!(boxed.iter().sum::<u64>(), 49_995_000);
        assert!(Routed::aside(|| HEAP.stats().small_objects) > 5000);
    });
}

#[test]
fn a_vector_grows_from_a_byte_to_megabytes() {
    on_the_heap(|| {
        let mut bytes = Vec::new();
        for number in 0..3_000_000_u32 {
            bytes.push(number.to_le_bytes()[0]);
        }
        for (number, byte) in (0_u32..).zip(&bytes) {
            assert_eq!(*byte, number.to_le_bytes()[0]);
        }
        bytes.truncate(100);
        bytes.shrink_to_fit();
        assert_eq!(bytes[99], 99);
    });
}

#[test]
fn zeroed_vectors_are_zero_on_memory_that_was_used() {
    on_the_heap(|| {
        for size in [1, 100, 5000, 100_000] {
            drop(black_box(vec![0xff_u8; size]));
            assert!(vec![0_u8; size].iter().all(|byte| *byte == 0));
        }
    });
}

#[test]
fn try_reserve_fails_without_a_panic_and_the_vector_lives_on() {
    on_the_heap(|| {
        let mut bytes: Vec<u8> = Vec::new();
        bytes.extend_from_slice(b"kept");
        assert!(bytes.try_reserve(WINDOW).is_err());
        assert!(bytes.try_reserve_exact(usize::MAX / 4).is_err());
        assert!(bytes.try_reserve(usize::MAX / 2).is_err());
        assert_eq!(bytes, b"kept");
        assert!(bytes.try_reserve(WINDOW / 2).is_ok());
        assert_eq!(bytes, b"kept");
    });
}
