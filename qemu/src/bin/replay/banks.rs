//! Which banks of RAM a replay uses on a machine that has little of it, and what it says where a
//! trace is too large.

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{Bank, HEAP_WINDOW, println};

use crate::{Context, WORKSPACE, whole};

/// The tests for a trace that does not fit; `None` if it may.
fn too_large(context: &mut Context) -> Option<[Test<Context>; 1]> {
    whole(context);
    let bank = |address: usize| Bank::of(address).map_or("no bank", |bank| bank.name);
    println!(
        "# the heap is in {}, the table of blocks in {}, the buffers to read the trace in {}, and \
         the trace in {}",
        bank(HEAP_WINDOW.base),
        bank(context.table.as_ptr().addr()),
        bank((&raw const WORKSPACE).addr()),
        bank(context.file.as_ptr().addr()),
    );
    let is_too_large = context.summary.peak_live_bytes > HEAP_WINDOW.bytes as u64;
    is_too_large.then_some([Test {
        name: "the trace is whole, and needs more memory than the heap has here",
        run: says_so,
    }])
}

fn says_so(context: &mut Context) {
    let (needed, available) = (context.summary.peak_live_bytes, HEAP_WINDOW.bytes);
    println!("# it does not fit: {needed} bytes are live at its peak, and {available} are there");
}

/// Runs the tests for a trace that does not fit, if this is one.
pub(crate) fn run_if_too_large(context: &mut Context) {
    if let Some(tests) = too_large(context) {
        protocol::run(&tests, context);
    }
}
