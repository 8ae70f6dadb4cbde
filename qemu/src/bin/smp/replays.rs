//! Every CPU replays the recorded trace, all at the same time.

use alloc::vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_qemu::{MOST_CPUS, Plain};
use archipelago_traces::Block;
use archipelago_traces::replay::{Mode, Replay, replay};
use archipelago_traces::trace::{Workspace, blocks_needed, validate};
use spin::{Mutex, Once};

use crate::{Context, GLOBAL, cpus};

/// Memory to unpack the trace in: the image's.
static WORKSPACES: [Mutex<Workspace>; MOST_CPUS] =
    [const { Mutex::new(Workspace::new()) }; MOST_CPUS];

/// The trace, for all CPUs.
struct Trace {
    file: &'static [u8],
    blocks: usize,
    operations: u64,
}

static TRACE: Once<Trace> = Once::new();

/// Operations of all replays.
static OPERATIONS: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn operations() -> usize {
    OPERATIONS.load(Ordering::Relaxed)
}

pub(crate) fn run(context: &mut Context) {
    let file = context.trace.bytes;
    TRACE.call_once(|| read(file));
    cpus::on_all(replay_here);
    context.check();
}

fn read(file: &'static [u8]) -> Trace {
    let mut workspace = WORKSPACES[0].lock();
    let blocks = blocks_needed(file, &mut workspace).expect("a whole trace");
    let blocks = usize::try_from(blocks).expect("an id has 32 bits");
    let mut table = vec![Block::UNUSED; blocks];
    let summary = validate(file, &mut workspace, &mut table).expect("a whole trace");
    Trace {
        file,
        blocks,
        operations: summary.operations,
    }
}

fn replay_here() {
    let trace = TRACE.get().expect("it was read");
    let mut table = vec![Block::UNUSED; trace.blocks];
    let run = Replay {
        file: trace.file,
        workspace: &mut WORKSPACES[cpus::this()].lock(),
        table: &mut table,
        mode: Mode::Checked,
        peak_live_bytes: u64::MAX,
        every: None,
    };
    let outcome = replay(run, &mut Plain(&GLOBAL), |_, _, _| ());
    let progress = outcome.unwrap_or_else(|error| panic!("{error}"));
    if let Some(failure) = progress.first_failure {
        panic!("CPU {}: {failure}", cpus::this());
    }
    if let Some(error) = progress.first_content_error {
        panic!("CPU {}: {error}", cpus::this());
    }
    assert_eq!(progress.operations, trace.operations);
    let operations = usize::try_from(progress.operations).expect("few enough");
    OPERATIONS.fetch_add(operations, Ordering::Relaxed);
}
