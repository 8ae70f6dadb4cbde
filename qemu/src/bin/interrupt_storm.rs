//! A storm of timer interrupts, whose handler allocates and frees through the global allocator: for
//! the whole replay of a trace, and while the kernel is in its mapper and in its frame allocator.
//! No request waits for the interrupted code, and no block is lost.
#![no_std]
#![no_main]

use core::num::NonZeroU64;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::Purpose;
use archipelago_api::Machine;
use archipelago_api::context::{HandlerGuard, Handlers};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Boot, Churn, HEAP_WINDOW, HeapMachine, KernelHeap, Module, Plain, Running, enable_interrupts,
    entry, frames_are_busy, mask_interrupts, memory_is_busy, on_timer, println, start_heap,
    start_timer, without_interrupts,
};
use archipelago_traces::Block;
use archipelago_traces::replay::{Mode, Replay, replay};
use archipelago_traces::trace::{Workspace, blocks_needed, validate};
use spin::Mutex;

entry!(main);

#[global_allocator]
static HEAP: KernelHeap<Handlers> = KernelHeap::new();

/// Pages that the heap keeps Ready for handlers.
const RESERVE: usize = 16;

/// Instructions between interrupts: more than a handler takes, so that the kernel gets on.
const PERIOD: u32 = 100_000;

/// How often the heap is checked in a replay.
const CHECKS: u64 = 20;

static CHURN: Mutex<Churn<KernelHeap<Handlers>>> = Mutex::new(Churn::new(&HEAP));

/// Where interrupts found the kernel.
static TICKS: AtomicUsize = AtomicUsize::new(0);
static IN_MAPPER: AtomicUsize = AtomicUsize::new(0);
static IN_FRAMES: AtomicUsize = AtomicUsize::new(0);

/// Memory to unpack the trace in: the image's.
static WORKSPACE: Mutex<Workspace> = Mutex::new(Workspace::new());

/// The state that the tests share.
struct Context {
    running: Running<Handlers>,
    trace: Module,
}

fn main(boot: Boot) -> ! {
    let trace = boot.info.module().expect("the trace is the module");
    let running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    let tests = [
        Test {
            name: "a trace is replayed while handlers allocate and free",
            run: whole_replay,
        },
        #[cfg(mmu)]
        Test {
            name: "handlers allocate and free in the midst of mapper and frame allocator",
            run: in_the_midst,
        },
        Test {
            name: "what handlers allocated is whole, and all memory goes back",
            run: afterwards,
        },
    ];
    protocol::run(&tests, &mut Context { running, trace })
}

fn handler() {
    let _guard = HandlerGuard::enter();
    TICKS.fetch_add(1, Ordering::Relaxed);
    if frames_are_busy() {
        IN_FRAMES.fetch_add(1, Ordering::Relaxed);
    } else if memory_is_busy() {
        IN_MAPPER.fetch_add(1, Ordering::Relaxed);
    }
    CHURN.lock().turn();
}

/// Interrupts, those that found the kernel in the mapper, and those in the frame allocator.
fn counts() -> [usize; 3] {
    [&TICKS, &IN_MAPPER, &IN_FRAMES].map(|count| count.load(Ordering::Relaxed))
}

/// Begins the storm.
fn begin() {
    enable_interrupts();
    start_timer(PERIOD);
}

/// Ends the storm.
fn end() {
    mask_interrupts();
    let [ticks, mapper, frames] = counts();
    let churn = CHURN.lock();
    println!(
        "# {ticks} interrupts, {mapper} of them in the mapper and {frames} in the frame allocator"
    );
    println!("# {churn:?}");
}

fn whole_replay(context: &mut Context) {
    let running = &context.running;
    let mut workspace = WORKSPACE.lock();
    let file = context.trace.bytes;
    let blocks = blocks_needed(file, &mut workspace).expect("a whole trace");
    let blocks = usize::try_from(blocks).expect("an id has 32 bits");
    let table = running.carve(blocks, Block::UNUSED);
    let table = table.expect("memory for the table of blocks");
    let summary = validate(file, &mut workspace, table).expect("a whole trace");
    HEAP.set_reserve(RESERVE).expect("there is memory");
    on_timer(handler);
    begin();
    let run = Replay {
        file,
        workspace: &mut workspace,
        table,
        mode: Mode::Checked,
        peak_live_bytes: summary.peak_live_bytes,
        every: NonZeroU64::new(summary.operations.div_ceil(CHECKS)),
    };
    let outcome = replay(run, &mut Plain(&HEAP), |_, _, _| {
        without_interrupts(|| running.check());
    });
    end();
    let progress = outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(progress.operations, summary.operations);
    assert_eq!((progress.failures, progress.content_errors), (0, 0));
    assert!(CHURN.lock().served > 1000, "hardly a handler was served");
    running.check();
}

/// Until interrupts have found the kernel in both.
#[cfg(mmu)]
fn in_the_midst(context: &mut Context) {
    use core::alloc::{GlobalAlloc, Layout};

    /// Far more rounds than it takes.
    const ROUNDS: usize = 500;

    let [_, mapper, frames] = counts();
    let is_done = || counts()[1] > mapper && counts()[2] > frames;
    begin();
    let mut rounds = 0..ROUNDS;
    while rounds.next().is_some() && !is_done() {
        // Commits and decommits hundreds of pages, which keeps the machine busy.
        let layout = Layout::from_size_align(1_000_000, 8).expect("a small size");
        // SAFETY: the size is not 0.
        let block = unsafe { HEAP.alloc(layout) };
        assert!(!block.is_null());
        // SAFETY: it was allocated with this layout.
        unsafe { HEAP.dealloc(block, layout) };
        HEAP.scavenge(usize::MAX).expect("interrupts are on");
        // The kernel's own use of its frame allocator.
        let mut memory = context.running.memory();
        let frames: [_; 32] = core::array::from_fn(|_| memory.1.take());
        frames
            .into_iter()
            .flatten()
            .for_each(|frame| memory.1.give_back(frame));
    }
    end();
    assert!(is_done(), "after {ROUNDS} rounds");
    context.running.check();
}

fn afterwards(context: &mut Context) {
    CHURN.lock().free_all();
    HEAP.set_reserve(0).expect("nothing is needed");
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    let stats = context.running.checked_stats();
    assert_eq!(stats.small_objects, 0);
    assert_eq!(stats.of(Purpose::Objects), 0);
    assert_eq!(stats.free_pages, stats.owned_pages);
    let kept = stats.of(Purpose::Free);
    assert!(!HeapMachine::DECOMMITS || kept == 0, "{kept} bytes stay");
}
