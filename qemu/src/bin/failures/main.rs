//! A kernel that must fail. The word `case=NAME` on the command line chooses how: by a mistake that
//! the heap reports, by a fault that the machine reports, or in a way that the harness notices.
#![no_std]
#![no_main]

extern crate alloc;

mod harness;
mod heap;
#[cfg(mmu)]
mod machine;

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Boot, HEAP_WINDOW, KernelHeap, entry, start_heap};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// A way to fail.
struct Case {
    /// The case's name on the command line.
    name: &'static str,
    /// The statement that the failure tests, as a sentence.
    shows: &'static str,
    run: Run,
}

/// The state in which a case starts.
enum Run {
    /// The free frames, and no heap.
    WithoutHeap(fn(&mut Boot)),
    /// A heap, which is the global allocator.
    WithHeap(fn()),
    /// No test: the case speaks the harness's protocol itself.
    Protocol(fn() -> !),
}

/// All cases that the machine can run.
const CASES: &[&[Case]] = &[
    heap::CASES,
    #[cfg(mmu)]
    machine::CASES,
    harness::CASES,
];

fn main(mut boot: Boot) -> ! {
    let chosen = boot.info.value("case");
    let case = CASES
        .iter()
        .copied()
        .flatten()
        .find(|case| Some(case.name) == chosen);
    let Some(case) = case else {
        panic!("the command line names no case of this machine");
    };
    let name = case.shows;
    match case.run {
        Run::WithoutHeap(run) => protocol::run(&[Test { name, run }], &mut boot),
        Run::WithHeap(mut run) => {
            start_heap(boot, &HEAP, &[HEAP_WINDOW]);
            let run_case = |run: &mut fn()| run();
            let tests = [Test {
                name,
                run: run_case,
            }];
            protocol::run(&tests, &mut run)
        }
        Run::Protocol(run) => run(),
    }
}
