//! Faults that a machine with an MMU reports, and one that it cannot report.

use alloc::vec;

use archipelago_qemu::{Boot, FREE_PAGE, protocol};

use crate::{Case, HEAP, Run};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "decommitted",
        shows: "decommitted memory faults",
        run: Run::WithHeap(read_freed),
    },
    Case {
        name: "page_fault",
        shows: "a page fault is reported",
        run: Run::WithoutHeap(read_unmapped),
    },
    Case {
        name: "stack_overflow",
        shows: "a stack overflow is reported",
        run: Run::WithoutHeap(overflow),
    },
    #[cfg(machine = "x86_64")]
    Case {
        name: "triple_fault",
        shows: "a reset is not a pass",
        run: Run::WithoutHeap(triple_fault),
    },
];

/// Reads an object that was freed and whose memory was given back.
fn read_freed() {
    let block = vec![1_u8; 100_000];
    let first = block.as_ptr();
    drop(block);
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    protocol::must_say(format_args!(
        "reading {:#x}, which is not mapped",
        first.addr()
    ));
    // SAFETY: broken on purpose: the block is freed. Its memory is no longer Ready, and the
    // processor refuses the read.
    let byte = unsafe { first.read_volatile() };
    assert_eq!(byte, 1);
}

fn read_unmapped(_: &mut Boot) {
    let pointer = FREE_PAGE as *const u8;
    protocol::must_say(format_args!("reading {FREE_PAGE:#x}, which is not mapped"));
    // SAFETY: broken on purpose: nothing is mapped at the address. The processor refuses the read,
    // and the trap handler ends the machine.
    let byte = unsafe { pointer.read_volatile() };
    assert_eq!(byte, 0);
}

/// Runs off the stack, onto the page below it, which is not mapped.
fn overflow(_: &mut Boot) {
    core::hint::black_box(deeper(u64::MAX));
}

/// Needs a stack of `depth` times 512 bytes.
fn deeper(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 64]);
    if depth == 0 {
        frame[0]
    } else {
        deeper(depth - 1).wrapping_add(frame[0])
    }
}

/// Resets the machine, which ends QEMU with exit code 0.
#[cfg(machine = "x86_64")]
fn triple_fault(_: &mut Boot) {
    use x86_64::VirtAddr;
    use x86_64::instructions::interrupts::int3;
    use x86_64::instructions::tables::lidt;
    use x86_64::structures::DescriptorTablePointer;

    let empty = DescriptorTablePointer {
        limit: 0,
        base: VirtAddr::new(0),
    };
    // SAFETY: broken on purpose: the table has no entry, so any exception resets the machine.
    unsafe { lidt(&empty) };
    int3();
}
