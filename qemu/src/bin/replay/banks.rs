//! The banks of RAM that a replay uses on a machine with little of it, and the report of a trace
//! that is too large.

use core::alloc::Layout;

use archipelago::AllocFlags;
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Bank, HEAP_WINDOW, println};

use crate::{Context, HEAP, WORKSPACE, whole};

/// The most that heap, table of blocks and buffers may have together with the word `one-bank`.
const ONE_BANK: u64 = 4 << 20;

/// Places everything that a replay needs: the heap, the table and the buffers.
pub(crate) fn places(context: &mut Context) {
    whole(context);
    let bank = |address: usize| Bank::of(address).expect("it lies in a bank");
    let used = [
        ("the heap", HEAP_WINDOW.base),
        ("the table of blocks", context.table.as_ptr().addr()),
        (
            "the buffers to read the trace in",
            (&raw const WORKSPACE).addr(),
        ),
    ];
    for (what, address) in used {
        println!("# {what}: {address:#x}, in {}", bank(address).name);
    }
    let file = context.file.as_ptr().addr();
    println!("# the trace: {file:#x}, in {}", bank(file).name);
    if context.is_asked_for("one-bank") {
        let one = bank(HEAP_WINDOW.base);
        assert!(one.range.end - one.range.start <= ONE_BANK);
        assert!(used.iter().all(|(_, address)| bank(*address) == one));
    }
}

/// A trace that has more live bytes than there are for the heap: all that can be shown of it.
const TOO_LARGE: [Test<Context>; 2] = [
    Test {
        name: "the trace is whole",
        run: whole,
    },
    Test {
        name: "it needs more memory than there is, which the heap says when it is asked for it",
        run: says_so,
    },
];

fn says_so(context: &mut Context) {
    let (needed, available) = (context.summary.peak_live_bytes, HEAP_WINDOW.bytes);
    println!("# it does not fit: {needed} bytes are live at its peak, and {available} are there");
    let most = isize::MAX.unsigned_abs();
    let bytes = usize::try_from(needed).unwrap_or(most).min(most);
    let layout = Layout::from_size_align(bytes, 1).expect("no more than the most");
    let refused = HEAP.allocate(layout, AllocFlags::empty());
    println!("# {}", refused.expect_err("there is less"));
    context.running.check();
}

/// Runs the tests for a trace that does not fit, if this is one.
pub(crate) fn run_if_too_large(context: &mut Context) {
    whole(context);
    if context.summary.peak_live_bytes > HEAP_WINDOW.bytes as u64 {
        protocol::run(&TOO_LARGE, context);
    }
}
