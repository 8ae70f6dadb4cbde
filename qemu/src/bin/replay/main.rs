//! Replays a recorded trace with the heap as global allocator, every block filled by its id and
//! checked, every frame accounted for.
//!
//! The trace is the kernel's module. Words on the command line ask for more:
//!
//! | word | |
//! | --- | --- |
//! | `instructions` | count instructions; the machine's virtual time must follow them |
//! | `peers` | the same for other allocators, too (feature `bench`) |
//! | `picture` | draw the heap as it is at the trace's peak |
//! | `one-bank` | on a machine with banks of RAM: heap, table and buffers share one of 4 MiB |
//!
//! Lines that start with `figure` hold a name and a number (`>` before it: more than that), those
//! that start with `progress` the per cent that are done.
#![no_std]
#![no_main]

#[cfg(feature = "flat-index")]
extern crate archipelago_inside as archipelago;

#[cfg(not(mmu))]
mod banks;
mod count;
mod measure;
#[cfg(feature = "bench")]
mod peers;
mod picture;
mod watched;

use core::num::NonZeroU64;

use archipelago::{AllocError, Purpose, Violation};
use archipelago_api::Machine;
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Boot, FRAME_BYTES, HEAP_WINDOW, HeapMachine, Imbalance, KernelHeap, Running, enable_interrupts,
    entry, println, start_heap,
};
use archipelago_traces::Block;
use archipelago_traces::replay::{Mode, Moment, Progress, Replay, replay};
use archipelago_traces::trace::{Summary, Workspace, blocks_needed, validate};
use spin::Mutex;

use watched::Watched;

entry!(main);

/// The heap that the checks are made on.
#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// The heap whose instructions are counted: a new one, like the other.
static MEASURED: KernelHeap = KernelHeap::new();

/// Memory to unpack the trace in: the image's.
static WORKSPACE: Mutex<Workspace> = Mutex::new(Workspace::new());

/// Steps of the progress that is reported.
const STEPS: u64 = 20;

/// The state that the tests share.
struct Context {
    running: Running,
    file: &'static [u8],
    summary: Summary,
    /// Where the blocks of the trace are: memory that the frame pool has not got any more.
    table: &'static mut [Block],
    found: Option<Found>,
}

/// The findings of the checked replay.
#[derive(Debug, Default)]
struct Found {
    progress: Progress,
    checks: u64,
    imbalance: Option<Imbalance>,
    refusal: Option<AllocError>,
    violation: Option<Violation>,
}

const TESTS: &[Test<Context>] = &[
    Test {
        name: "the trace is whole",
        run: whole,
    },
    #[cfg(not(mmu))]
    Test {
        name: "everything that the replay needs has its place",
        run: banks::places,
    },
    Test {
        name: "every request is served",
        run: served,
    },
    Test {
        name: "every block keeps its bytes",
        run: contents,
    },
    Test {
        name: "frames and account agree throughout, and the heap is sound",
        run: balance,
    },
    Test {
        name: "nothing is left, and the memory goes back",
        run: nothing_left,
    },
    Test {
        name: "instructions are counted",
        run: measure::run,
    },
];

fn main(boot: Boot) -> ! {
    let module = boot.info.module();
    let file = module.expect("the trace is the kernel's module").bytes;
    enable_interrupts();
    let running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    let mut context = Context {
        running,
        file,
        summary: Summary::default(),
        table: &mut [],
        found: None,
    };
    #[cfg(not(mmu))]
    banks::run_if_too_large(&mut context);
    let count = if context.is_asked_for("instructions") {
        TESTS.len()
    } else {
        TESTS.len() - 1
    };
    protocol::run(&TESTS[..count], &mut context)
}

impl Context {
    /// Whether a word is on the command line.
    fn is_asked_for(&self, word: &str) -> bool {
        self.running.info.has_word(word)
    }

    /// The findings of the checked replay, which the first call makes.
    fn found(&mut self) -> &Found {
        if self.found.is_none() {
            self.found = Some(self.replay_checked());
        }
        self.found.as_ref().expect("it is there now")
    }

    fn replay_checked(&mut self) -> Found {
        let draws = self.is_asked_for("picture");
        let mut found = Found::default();
        let mut violation = None;
        let mut workspace = WORKSPACE.lock();
        let run = Replay {
            file: self.file,
            workspace: &mut workspace,
            table: self.table,
            mode: Mode::Checked,
            peak_live_bytes: self.summary.peak_live_bytes,
            every: NonZeroU64::new(self.summary.operations.div_ceil(STEPS)),
        };
        let operations = self.summary.operations;
        let mut watched = Watched::new(&self.running);
        let outcome = replay(run, &mut watched, |moment, progress, watched| {
            violation = violation.or(HEAP.verify().err());
            match moment {
                Moment::Periodic => println!("progress {}", progress.operations * 100 / operations),
                Moment::Peak => {
                    figure("live_bytes_at_peak", progress.live_bytes);
                    figure("frames_at_peak", watched.frames());
                    if draws {
                        picture::draw(HEAP_WINDOW.base, |visit| HEAP.for_each_chunk(visit));
                    }
                }
                Moment::End => {}
            }
        });
        figure("peak_ready_bytes", watched.peak_ready_bytes);
        figure("peak_frames", watched.peak_frames);
        found.checks = watched.checks;
        found.refusal = watched.refusal;
        found.imbalance = watched.imbalance.or(self.running.balance().err());
        found.violation = violation.or(HEAP.verify().err());
        found.progress = outcome.unwrap_or_else(|error| panic!("{error}"));
        found
    }
}

/// Prints a number for the harness.
fn figure(name: &str, number: impl core::fmt::Display) {
    println!("figure {name} {number}");
}

/// Prints the bytes that the trace needs at least, and those that the machine has.
fn fit(context: &Context, needed: usize) {
    let free = context.running.memory().1.free_frames();
    let frames = free + context.running.heap_frames();
    figure("bytes_needed", needed);
    let most = HEAP_WINDOW.bytes as u64;
    figure("bytes_available", most.min(frames * FRAME_BYTES as u64));
}

fn whole(context: &mut Context) {
    if context.summary.operations > 0 {
        return;
    }
    let mut workspace = WORKSPACE.lock();
    let needed = blocks_needed(context.file, &mut workspace);
    let needed = needed.unwrap_or_else(|error| panic!("{error}"));
    let blocks = usize::try_from(needed).expect("an id has 32 bits");
    fit(context, blocks * size_of::<Block>());
    let table = context.running.carve(blocks, Block::UNUSED);
    context.table = table.unwrap_or_else(|| panic!("no room for a table of {blocks} blocks"));
    let summary = validate(context.file, &mut workspace, context.table);
    context.summary = summary.unwrap_or_else(|error| panic!("{error}"));
    let live = usize::try_from(context.summary.peak_live_bytes).unwrap_or(usize::MAX);
    fit(context, live);
    figure("address_bits", HeapMachine::GEOMETRY.address_bits);
    figure("frame_bytes", FRAME_BYTES);
    figure("operations", context.summary.operations);
    figure("most_live_blocks", context.summary.most_live_blocks);
    figure("peak_live_bytes", context.summary.peak_live_bytes);
}

fn served(context: &mut Context) {
    let found = context.found();
    let progress = found.progress;
    if let Some(error) = found.refusal {
        println!("# {error}");
    }
    if let Some(failure) = progress.first_failure {
        panic!(
            "{} requests failed; the first: {failure}",
            progress.failures
        );
    }
    assert_eq!(progress.operations, context.summary.operations);
    assert_eq!(progress.peak_live_bytes, context.summary.peak_live_bytes);
}

fn contents(context: &mut Context) {
    let progress = context.found().progress;
    if let Some(error) = progress.first_content_error {
        panic!(
            "{} blocks were damaged; the first: {error}",
            progress.content_errors
        );
    }
}

fn balance(context: &mut Context) {
    let found = context.found();
    if let Some(imbalance) = found.imbalance {
        panic!("{imbalance}");
    }
    if let Some(violation) = found.violation {
        panic!("the heap is not sound: {violation}");
    }
    assert!(found.checks > 0, "the heap took no frame");
    figure("account_checks", found.checks);
}

fn nothing_left(context: &mut Context) {
    let stats = context.running.checked_stats();
    assert_eq!(stats.small_objects, 0);
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    let stats = context.running.checked_stats();
    assert_eq!(stats.free_pages, stats.owned_pages);
    let kept = stats.of(Purpose::Free);
    assert_eq!(stats.mapped_ready, stats.metadata() + kept);
    assert!(!HeapMachine::DECOMMITS || kept == 0, "{kept} bytes stay");
    println!(
        "# {} frames stay, {} for metadata and {} for page tables",
        context.running.heap_frames(),
        stats.metadata() / FRAME_BYTES,
        stats.footprint.table_frames
    );
}
