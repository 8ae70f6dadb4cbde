//! One interrupt in a call, after each of its instructions by turns.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr::NonNull;

use archipelago_host::{Heap, Host, Kernel};

use crate::handlers::{check, heap};
use crate::kernel::{self, interrupts_are_enabled};
use crate::trap::{Next, fault, stepped};

/// A CPU beyond those that own spans.
const BEYOND: u16 = 9;

/// A slot of a class of which the blocks have no span.
const LAYOUT: Layout = Layout::new::<[u64; 40]>();

/// An interrupted call on CPU 0, and its interrupt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scenario {
    /// A request takes a span off the central lists, whose only object a handler frees.
    TakenSpanIsEmptied,
    /// A request takes a span off the central lists, whose only object CPU 1 frees.
    TakenSpanIsEmptiedElsewhere,
}

struct Stage<K: Kernel> {
    heap: Heap<Host, K>,
}

impl<K: Kernel> Stage<K> {
    fn get(&self) -> NonNull<u8> {
        // SAFETY: the layout has bytes.
        let start = unsafe { self.heap.alloc(LAYOUT) };
        NonNull::new(start).expect("memory")
    }

    fn free(&self, object: NonNull<u8>) {
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { self.heap.dealloc(object.as_ptr(), LAYOUT) };
    }
}

/// Makes the call once without an interrupt, and for each of its instructions in a process that
/// branches off there and is interrupted.
pub(crate) fn run<K: Kernel>(scenario: Scenario) {
    let stage = Stage::<K> { heap: heap() };
    kernel::migrate(BEYOND);
    let central = stage.get();
    kernel::migrate(0);
    let (branches, is_branch) = (Cell::new(0), Cell::new(false));
    let branch = || {
        if !interrupts_are_enabled() || is_branch.get() {
            return Next::Step;
        }
        branches.set(branches.get() + 1);
        // SAFETY: no other thread of this process holds what the branch needs.
        let child = unsafe { libc::fork() };
        if child != 0 {
            wait_for(child);
            return Next::Step;
        }
        is_branch.set(true);
        let cpu = match scenario {
            Scenario::TakenSpanIsEmptied => 0,
            Scenario::TakenSpanIsEmptiedElsewhere => 1,
        };
        kernel::interrupt(cpu, || stage.free(central));
        Next::Run
    };
    let (own, _) = stepped(|| stage.get(), &branch);
    if !is_branch.get() {
        stage.free(central);
    }
    check(&stage.heap, 1);
    stage.free(own);
    check(&stage.heap, 0);
    if is_branch.get() {
        // SAFETY: the process may end anywhere.
        unsafe { libc::_exit(0) };
    }
    let branches = branches.get();
    println!("{scenario:?}: {branches} instructions");
    if branches < 20 {
        fault(format_args!("{branches} instructions are too few"));
    }
}

/// Waits for a branch, and ends as it did if that was in a fault.
fn wait_for(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the pointer is to a variable.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    if waited != child || status != 0 {
        fault(format_args!("a branch ended with status {status:#x}"));
    }
}
