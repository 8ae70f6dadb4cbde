//! A kernel on two CPUs (`-smp 2`), both of which allocate and free through one heap, at once. What
//! one of them gives back, the other has to stop translating: the heap's machine asks the kernel
//! for a shoot-down, by an interrupt between the CPUs.
#![no_std]
#![no_main]

extern crate alloc;

mod jobs;
mod shoot_down;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::{AllocFlags, Heap, Window};
use archipelago_qemu::{
    Boot, FRAME_BYTES, FramePool, Verdict, current_cpu, entry, exit, on_other_cpu, probe_read,
    protocol, start_cpu,
};
use archipelago_x86_64::{CpuId, Cpus, MultiCpu, Owned, Paging};
use spin::Mutex;
use x86_64::structures::paging::OffsetPageTable;

use shoot_down::ShootDown;

entry!(main);

/// The kernel's CPUs, as the heap sees them.
struct Numbered;

impl Cpus for Numbered {
    fn current_cpu() -> CpuId {
        current_cpu()
    }
}

type Mapper = OffsetPageTable<'static>;
type Machine = Paging<Mapper, FramePool, Owned<Mapper, FramePool>, ShootDown>;

#[global_allocator]
static HEAP: Heap<Machine, MultiCpu<Numbered>> = Heap::new();

const WINDOW: Window = Window::new(0x4444_4444_0000, 1 << 30);

/// The second CPU.
const SECOND: CpuId = CpuId(1);

/// Pages of its stack.
const STACK_PAGES: usize = 16;

/// Times that each CPU uses the heap.
const ROUNDS: usize = 300;

/// Pages that one CPU gives back after the other has used them.
const PAGES: usize = 32;

fn main(boot: Boot) -> ! {
    let is_careless = boot.info.has_word("careless");
    // SAFETY:
    // - There is one hierarchy of page tables, which both CPUs use.
    // - The boot code maps every frame of the pool where the tables say, and none at address 0.
    // - The boot code lets pages be never executable.
    // - Nothing else is mapped in the window.
    let machine = unsafe { Paging::new(boot.mapper, boot.frames) };
    HEAP.init(&[WINDOW], machine.returning().with_tlb(ShootDown))
        .unwrap_or_else(|failure| panic!("no heap: {failure}"));

    on_other_cpu(shoot_down::respond);
    shoot_down::take_part();
    let stack = HEAP
        .pages()
        .allocate(STACK_PAGES, 4096, AllocFlags::empty());
    let stack = stack.expect("there is memory").leak();
    let second = if is_careless {
        || jobs::run(hint::spin_loop)
    } else {
        take_part_and_run
    };
    start_cpu(SECOND, stack, second);

    protocol::plan(2);
    protocol::test(
        1,
        "no CPU translates what another one gave back",
        given_back,
    );
    protocol::test(2, "two CPUs allocate and free at once", at_once);
    exit(Verdict::Pass)
}

/// The second CPU takes part in shoot-downs before it uses the heap.
fn take_part_and_run() -> ! {
    shoot_down::take_part();
    jobs::run(hint::spin_loop)
}

fn at_once() {
    jobs::begin(SECOND.0.into(), use_heap);
    use_heap();
    jobs::wait_for_end(hint::spin_loop);
    HEAP.verify().expect("the heap is sound");
}

/// An object for each CPU, which the other one made.
static HANDED_OVER: [Mutex<Option<Box<[usize]>>>; 2] = [const { Mutex::new(None) }; 2];

/// The work of a CPU: in each round it makes an object, hands it over, and checks and frees one of
/// the other CPU's.
fn use_heap() {
    let cpu = usize::from(current_cpu().0);
    for round in 0..ROUNDS {
        let words = 1 + (round * 37 + cpu * 11) % 3_000;
        let numbers: Vec<usize> = (0..words).collect();
        hand_over(&HANDED_OVER[1 - cpu], numbers.into_boxed_slice());
        let others = take(&HANDED_OVER[cpu]);
        assert!(others.iter().enumerate().all(|(n, value)| n == *value));
        if round % 16 == cpu {
            HEAP.scavenge(usize::MAX).expect("this CPU may wait");
        }
    }
}

/// Waits until the other CPU has taken the last object.
fn hand_over(place: &Mutex<Option<Box<[usize]>>>, object: Box<[usize]>) {
    while place.lock().is_some() {
        hint::spin_loop();
    }
    *place.lock() = Some(object);
}

fn take(place: &Mutex<Option<Box<[usize]>>>) -> Box<[usize]> {
    loop {
        if let Some(object) = place.lock().take() {
            return object;
        }
        hint::spin_loop();
    }
}

/// The address of pages that both CPUs have used.
static SHARED: AtomicUsize = AtomicUsize::new(0);

/// How many of them the second CPU can read.
static READABLE: AtomicUsize = AtomicUsize::new(0);

fn given_back() {
    let run = HEAP.pages().allocate(PAGES, 4096, AllocFlags::ZEROED);
    let run = run.expect("there is memory");
    SHARED.store(run.as_ptr().as_ptr().cast::<u8>().addr(), Ordering::Release);
    read_on_second_cpu();
    assert_eq!(READABLE.load(Ordering::Acquire), PAGES);

    drop(run);
    let scavenged = HEAP.scavenge(usize::MAX).expect("this CPU may wait");
    assert!(scavenged >= PAGES, "{scavenged} pages were given back");
    read_on_second_cpu();
    let stale = READABLE.load(Ordering::Acquire);
    assert_eq!(stale, 0, "{stale} pages are still translated");
}

fn read_on_second_cpu() {
    jobs::begin(SECOND.0.into(), || {
        let first = SHARED.load(Ordering::Acquire);
        let pages = (0..PAGES).map(|page| first + page * FRAME_BYTES);
        let readable = pages.filter(|page| probe_read(*page).is_ok()).count();
        READABLE.store(readable, Ordering::Release);
    });
    jobs::wait_for_end(hint::spin_loop);
}
