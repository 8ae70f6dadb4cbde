//! Planted violations of the rule that no heap lock is held when the machine is called.
//!
//! Only debug builds keep track of the locks that a CPU holds.
#![cfg(debug_assertions)]

use alloc::boxed::Box;

use archipelago_sim::{Hosted, Plain32, Sim};

use crate::heap::Heap;
use crate::pageheap::Window;
use crate::region::ranges::Slot;
use crate::region::{Cause, Purpose, Source};

type PlainHeap = Heap<Sim<Plain32>, Hosted>;

fn subject() -> Box<PlainHeap> {
    let heap: Box<PlainHeap> = Box::default();
    let machine = Sim::builder().build();
    heap.init(&[Window::new(0x4000_0000, 1 << 24)], machine)
        .expect("a good window");
    heap
}

/// Makes the machine be called, inside the gate, while the guard that `hold` returns is held.
fn call_machine<R>(heap: &PlainHeap, hold: impl Fn() -> R) -> Result<(), Cause> {
    let online = heap.pages.online().expect("it is initialised");
    heap.pages.with_machine(online, heap, |space, windows| {
        let _held = hold();
        // More than can be in stock.
        let memory = windows.source(space).take::<Slot>(Purpose::Ranges, 4096, 0);
        memory.map(drop)
    })
}

#[test]
fn a_call_without_locks_is_fine() {
    let heap = subject();
    assert_eq!(call_machine(&heap, || ()), Ok(()));
}

#[test]
#[should_panic(expected = "the machine is never called under a lock of its heap")]
fn a_call_under_the_page_lock_is_caught() {
    let heap = subject();
    let answer = call_machine(&heap, || heap.pages.pool().hold());
    assert_eq!(answer, Ok(()));
}

#[test]
#[should_panic(expected = "the machine is never called under a lock of its heap")]
fn a_call_under_the_central_lock_is_caught() {
    let heap = subject();
    let answer = call_machine(&heap, || heap.central.lock());
    assert_eq!(answer, Ok(()));
}

#[cfg(feature = "heap-bits")]
#[test]
#[should_panic(expected = "the machine is never called under a lock of its heap")]
fn a_call_under_the_bitmaps_lock_is_caught() {
    let heap = subject();
    let answer = call_machine(&heap, || heap.pages.bitmap().hold());
    assert_eq!(answer, Ok(()));
}

#[test]
#[should_panic(expected = "the gate is never waited for under a lock of its heap")]
fn waiting_for_the_gate_under_a_lock_is_caught() {
    let heap = subject();
    let _held = heap.pages.pool().hold();
    let answer = heap.scavenge(0);
    assert_eq!(answer, Ok(0));
}
