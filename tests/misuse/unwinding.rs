//! A kernel that stops by a panic does not unwind through `GlobalAlloc`: the program aborts.

use alloc::sync::Arc;
use core::alloc::GlobalAlloc;
use core::ptr::NonNull;
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::panic::catch_unwind;
use std::process::Command;

use archipelago_sim::Plain32;
use archipelago_testing::{Rig, layout};

use crate::subjects::{Early, Firmware, Flat, Subject, Whole};

/// The variable of the environment that tells a child from its parent.
const CHILD: &str = "ARCHIPELAGO_MISUSE_CHILD";

/// Runs `work` in a child process, by running the test `name` again there, and checks that the
/// child aborts after it has said `report`.
fn aborts_with(name: &str, report: &str, work: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        let outcome = catch_unwind(core::panic::AssertUnwindSafe(work));
        println!("unwound: {}", outcome.is_err());
        return;
    }
    let program = env::current_exe().expect("a program");
    let mut child = Command::new(program);
    child.args(["--exact", "--nocapture", name]).env(CHILD, "");
    let output = child.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(report), "{said}");
    // SIGABRT.
    assert_eq!(output.status.signal(), Some(6), "{}", output.status);
}

/// Frees an object twice through `GlobalAlloc`.
fn aborts<S: Subject>(name: &str, free: impl Fn(&S, NonNull<u8>)) {
    aborts_with(name, "freed twice", || {
        let subject = S::new();
        let object = subject.get(layout(64, 8)).expect("memory");
        free(&subject, object);
        free(&subject, object);
    });
}

fn free_by<H: GlobalAlloc>(heap: &H, object: NonNull<u8>) {
    // SAFETY: the heap notices the second free before it uses the object.
    unsafe { heap.dealloc(object.as_ptr(), layout(64, 8)) };
}

fn shrink_by<H: GlobalAlloc>(heap: &H, object: NonNull<u8>) {
    // SAFETY: the heap notices that the object is gone before it uses it.
    let moved = unsafe { heap.realloc(object.as_ptr(), layout(64, 8), 8) };
    assert!(!moved.is_null());
}

#[test]
fn the_whole_heap_aborts() {
    let free = |subject: &Whole<Plain32>, object| free_by(subject.heap(), object);
    aborts("unwinding::the_whole_heap_aborts", free);
}

#[test]
fn the_whole_heap_aborts_in_a_reallocation() {
    let free = |subject: &Whole<Plain32>, object| shrink_by(subject.heap(), object);
    aborts("unwinding::the_whole_heap_aborts_in_a_reallocation", free);
}

#[test]
fn the_early_heap_aborts() {
    let free = |subject: &Early<Plain32>, object| free_by(subject.heap(), object);
    aborts("unwinding::the_early_heap_aborts", free);
}

#[test]
fn the_flat_heap_aborts() {
    let free = |subject: &Flat, object| free_by(subject.heap(), object);
    aborts("unwinding::the_flat_heap_aborts", free);
}

#[test]
fn the_firmware_heap_aborts() {
    let free = |subject: &Firmware<256>, object| free_by(subject.heap(), object);
    aborts("unwinding::the_firmware_heap_aborts", free);
}

/// The machine allocates from within a call, by the front end.
#[test]
fn an_allocation_aborts() {
    let report = "the mapper or frame allocator allocated";
    aborts_with("unwinding::an_allocation_aborts", report, || {
        let rig = Arc::new(Rig::<Plain32>::new());
        let heap = Arc::clone(&rig);
        rig.machine.on_call(move |_| {
            // SAFETY: the layout is not empty.
            let memory = unsafe { heap.heap.alloc(layout(24, 8)) };
            assert!(memory.is_null(), "it is never served");
        });
        let _large = rig.get(1 << 20, 8);
    });
}
