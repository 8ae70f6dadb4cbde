//! One interrupt in a call, after each of its instructions by turns.

use core::cell::Cell;

use crate::kernel;
use crate::trap::{Next, fault, stepped};

/// Makes a call once without an interrupt, and for each of its instructions in a process that
/// branches off there and is interrupted on CPU `cpu`. Each goes on with `finish`, which gets the
/// result of the call and whether there was an interrupt.
pub(crate) fn interrupt_everywhere<R>(
    name: &str,
    cpu: u16,
    call: impl FnOnce() -> R,
    interrupt: impl Fn(),
    finish: impl FnOnce(R, bool),
) {
    let (branches, is_branch) = (Cell::new(0), Cell::new(false));
    let branch = || {
        if !kernel::interrupts_are_enabled() || is_branch.get() {
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
        kernel::interrupt(cpu, &interrupt);
        Next::Run
    };
    let (result, _) = stepped(call, &branch);
    finish(result, is_branch.get());
    if is_branch.get() {
        // SAFETY: the process may end anywhere.
        unsafe { libc::_exit(0) };
    }
    let branches = branches.get();
    println!("{name}: {branches} instructions");
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
