//! A kernel that preempts threads under strict priorities: the timer takes the CPU from a thread
//! wherever it is, the mapper included, and gives it to a preferred one, which then uses the heap.
//! Where that one has to wait for the thread inside the mapper, it lets the others run.
#![no_std]
#![no_main]

extern crate alloc;

mod scheduler;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::{Heap, Window};
use archipelago_qemu::{Boot, FramePool, Verdict, entry, exit, println, protocol};
use archipelago_x86_64::{Paging, SingleCpuThreads, Threads};
use x86_64::structures::paging::OffsetPageTable;

entry!(main);

/// The kernel's threads, as the heap sees them.
struct Scheduled;

impl Threads for Scheduled {
    fn current_thread() -> usize {
        scheduler::current()
    }

    /// Sleeps until the next tick, so that threads of any priority run.
    fn relax() {
        WAITED.fetch_add(1, Ordering::Relaxed);
        scheduler::sleep(1);
    }
}

/// How often a thread had to wait for another one.
static WAITED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static HEAP: Heap<Paging<OffsetPageTable<'static>, FramePool>, SingleCpuThreads<Scheduled>> =
    Heap::new();

const WINDOW: Window = Window::new(0x4444_4444_0000, 1 << 30);

/// Times that each thread uses the heap.
const ROUNDS: usize = 60;

/// Pages of a thread's stack.
const STACK_PAGES: usize = 8;

fn main(boot: Boot) -> ! {
    // SAFETY:
    // - There is one CPU and one hierarchy of page tables.
    // - The boot code maps every frame of the pool where the tables say, and none at address 0.
    // - The boot code lets pages be never executable.
    // - Nothing else is mapped in the window.
    let machine = unsafe { Paging::one_cpu(boot.mapper, boot.frames) };
    HEAP.init(&[WINDOW], machine.returning())
        .unwrap_or_else(|failure| panic!("no heap: {failure}"));

    protocol::plan(1);
    protocol::test(1, "preempted threads wait for each other and go on", || {
        for number in 0..scheduler::THREADS {
            let stack = HEAP
                .pages()
                .allocate(STACK_PAGES, 4096, archipelago::AllocFlags::empty())
                .expect("there is memory");
            scheduler::start(number, stack.leak(), work);
        }
        scheduler::run();
        HEAP.verify().expect("the heap is sound");
        assert!(
            WAITED.load(Ordering::Relaxed) > 0,
            "no thread was preempted in the mapper"
        );
    });
    println!("# threads waited {} times", WAITED.load(Ordering::Relaxed));
    exit(Verdict::Pass)
}

/// The work of a thread: it uses the heap, gives memory back, and waits for an event now and then,
/// preferred threads longer than others.
fn work(number: usize) {
    for round in 0..ROUNDS {
        let numbers: Vec<usize> = (0..5_000 + 1_000 * (round % 7)).collect();
        assert!(numbers.iter().enumerate().all(|(n, value)| n == *value));
        drop(numbers);
        HEAP.scavenge(usize::MAX).expect("a thread may wait");
        scheduler::sleep(scheduler::THREADS - number);
    }
}
