//! Allocating in interrupt handlers: the timer interrupts the kernel wherever it is, the mapper and
//! the frame allocator included. The handler allocates and frees; each request is served or
//! refused, and never waits for the interrupted code.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use archipelago::Purpose;
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Boot, Churn, FRAME_BYTES, HEAP_WINDOW, KernelHeap, Running, are_interrupts_enabled,
    enable_interrupts, entry, mask_interrupts, memory_is_busy, on_timer, println, start_heap,
    start_timer, without_interrupts,
};
use spin::Mutex;

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// Pages that the heap keeps Ready for handlers.
const RESERVE: usize = 16;

/// Instructions between interrupts.
const PERIODS: [u32; 8] = [
    1_000_000, 257_000, 85_000, 45_000, 25_000, 15_000, 10_000, 6_000,
];

/// The period while nothing is under test.
const SLOW: u32 = 50_000_000;

/// The period that the handler sets when it ends.
static PERIOD: AtomicU32 = AtomicU32::new(SLOW);

/// Interrupts of code that held the lock around the mapper and the frames.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// The requests that the handler makes.
static CHURN: Mutex<Churn<KernelHeap>> = Mutex::new(Churn::new(&HEAP));

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    let tests = [
        Test {
            name: "a kernel that boots with interrupts masked allocates, and grows the heap",
            run: masked,
        },
        Test {
            name: "a handler allocates while the kernel is anywhere in the heap",
            run: in_the_heap,
        },
        Test {
            name: "a handler allocates while the kernel is in its mapper or frame allocator",
            run: in_the_mapper,
        },
        Test {
            name: "a handler is served from the reserve, which the next ordinary request refills",
            run: reserve,
        },
        Test {
            name: "blocks of the handlers are intact and can be freed",
            run: afterwards,
        },
    ];
    protocol::run(&tests, &mut running)
}

fn handler() {
    // The period begins when the handler ends. A turn may take longer than a period, and the next
    // interrupt would come before the kernel had carried out an instruction.
    start_timer(SLOW);
    if memory_is_busy() {
        BUSY.fetch_add(1, Ordering::Relaxed);
    }
    CHURN.lock().turn();
    start_timer(PERIOD.load(Ordering::Relaxed));
}

/// Sets the period, of the handler as of the timer.
fn set_period(instructions: u32) {
    PERIOD.store(instructions, Ordering::Relaxed);
    start_timer(instructions);
}

/// Checks the heap with no handler in between.
fn check(running: &Running) {
    without_interrupts(|| running.check());
}

fn masked(running: &mut Running) {
    assert!(!are_interrupts_enabled());
    let before = HEAP.stats().owned_pages;
    let large: Vec<u8> = (0..5_000_000_usize).map(|n| n.to_le_bytes()[0]).collect();
    let small: BTreeMap<_, _> = (0..2000_u32).map(|n| (n, Box::new(n))).collect();
    assert!(HEAP.stats().owned_pages > before);
    assert!(small.iter().all(|(key, value)| *key == **value));
    drop((large, small));
    check(running);
}

/// Runs `work` under a timer of every speed, `rounds` times each.
fn under_the_timer(running: &Running, rounds: usize, mut work: impl FnMut(usize)) {
    for period in PERIODS {
        set_period(period);
        for round in 0..rounds {
            work(round);
        }
        // Back to the slow timer: the interrupts of the next steps are not under test.
        set_period(SLOW);
        check(running);
    }
    let churn = without_interrupts(|| alloc::format!("{:?}", CHURN.lock()));
    let busy = BUSY.load(Ordering::Relaxed);
    println!("# {churn}; {busy} interrupts while the machine was busy");
}

fn served() -> usize {
    without_interrupts(|| CHURN.lock().served)
}

fn in_the_heap(running: &mut Running) {
    HEAP.set_reserve(RESERVE).expect("there is memory");
    on_timer(handler);
    enable_interrupts();
    let before = served();
    under_the_timer(running, 180, |round| {
        let list: Vec<_> = (0..50 + round % 40).map(|n| Box::new([n; 9])).collect();
        assert!(list.iter().enumerate().all(|(n, numbers)| numbers[0] == n));
        let mut grown = Vec::new();
        (0..3_000_u32).for_each(|n| grown.push(n));
        assert!(grown.iter().copied().eq(0..3_000));
    });
    assert!(served() > before);
}

fn in_the_mapper(running: &mut Running) {
    let before = BUSY.load(Ordering::Relaxed);
    under_the_timer(running, 56, |round| {
        // Commits and decommits hundreds of pages, which keeps the machine busy.
        drop(alloc::vec![1_u8; 1_000_000 + round]);
        HEAP.scavenge(usize::MAX).expect("interrupts are on");
        // The kernel's own use of its frame allocator.
        let mut memory = running.memory();
        let frames: [_; 32] = core::array::from_fn(|_| memory.1.take());
        frames
            .into_iter()
            .flatten()
            .for_each(|frame| memory.1.give_back(frame));
    });
    assert!(
        BUSY.load(Ordering::Relaxed) > before,
        "the mapper was never interrupted"
    );
}

fn reserve(running: &mut Running) {
    let served = without_interrupts(|| {
        // A new reserve, of adjacent pages: handlers have left the old one in pieces, which may be
        // shorter than the request.
        HEAP.set_reserve(0).expect("nothing else uses the machine");
        HEAP.scavenge(usize::MAX)
            .expect("nothing else uses the machine");
        HEAP.set_reserve(RESERVE).expect("there is memory");
        let full = HEAP.stats().of(Purpose::Reserve);
        assert_eq!(full, RESERVE * FRAME_BYTES);
        // As if a handler had interrupted the mapper: interrupts are masked, and its lock is held.
        let memory = running.memory();
        let mut served = Vec::new();
        assert!(served.try_reserve_exact(3 * FRAME_BYTES).is_ok());
        let mut refused = Vec::<u8>::new();
        assert!(
            refused
                .try_reserve_exact(2 * RESERVE * FRAME_BYTES)
                .is_err()
        );
        drop(memory);
        assert!(HEAP.stats().of(Purpose::Reserve) < full);
        served.resize(100, 7_u8);
        served
    });
    // The next ordinary request that needs pages refills it.
    drop(Vec::<u8>::with_capacity(64 * FRAME_BYTES));
    without_interrupts(|| {
        assert_eq!(HEAP.stats().of(Purpose::Reserve), RESERVE * FRAME_BYTES);
    });
    assert!(served.iter().all(|byte| *byte == 7));
    drop(served);
    check(running);
}

fn afterwards(running: &mut Running) {
    mask_interrupts();
    CHURN.lock().free_all();
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    check(running);
    let stats = HEAP.stats();
    assert_eq!(stats.small_objects, 0);
    assert_eq!(stats.of(Purpose::Objects), 0);
    assert_eq!(stats.free_pages, stats.scavenged_pages);
}
