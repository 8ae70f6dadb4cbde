//! Pages that every CPU has used and one gave back: none translates them to where they were.
//!
//! A checker on each CPU touches them, by probes: with the word `careless` on the command line the
//! translations are stale, and the tests have to fail.

use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::{AllocFlags, OwnedRun};
use archipelago_qemu::{FRAME_BYTES, probe_read, without_interrupts};

use crate::{Context, HEAP, Machine, SmpKernel, cpus};

/// Pages that are given back.
const PAGES: usize = 32;

/// The bytes that the first CPU writes to them, before and after they were given back.
const BEFORE: u8 = 0x3c;
const AFTER: u8 = 0x55;

/// The address of the first one.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Of a CPU: the pages that it can read, and the sum of the bytes that it found.
static READABLE: AtomicUsize = AtomicUsize::new(0);
static SUM: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn gone(_: &mut Context) {
    drop(used_by_all());
    give_back();
    for cpu in 0..cpus::count() {
        let (readable, _) = look_on(cpu);
        assert_eq!(
            readable, 0,
            "CPU {cpu}: {readable} pages are still translated"
        );
    }
}

pub(crate) fn elsewhere(context: &mut Context) {
    let run = used_by_all();
    drop(run);
    give_back();
    // The frames that the pages had are the lowest ones, which are handed out first.
    let mut memory = context.memory.lock();
    let former: [_; PAGES] = core::array::from_fn(|_| memory.1.take());
    drop(memory);
    let run = new_run(AFTER);
    for cpu in 0..cpus::count() {
        let (readable, sum) = look_on(cpu);
        assert_eq!(readable, PAGES, "CPU {cpu}");
        let is_new = sum == PAGES * usize::from(AFTER);
        assert!(
            is_new,
            "CPU {cpu}: pages are still translated to former frames"
        );
    }
    drop(run);
    let mut memory = context.memory.lock();
    former
        .into_iter()
        .flatten()
        .for_each(|frame| memory.1.give_back(frame));
}

/// Pages that all CPUs have read, so that they may have cached the translations.
fn used_by_all() -> OwnedRun<'static, Machine, SmpKernel> {
    // What was freed before has no memory from now on, so that the pages are the lowest ones.
    HEAP.scavenge(usize::MAX).expect("this CPU may wait");
    BASE.store(0, Ordering::Relaxed);
    let run = new_run(BEFORE);
    for cpu in 0..cpus::count() {
        assert_eq!(look_on(cpu), (PAGES, PAGES * usize::from(BEFORE)));
    }
    run
}

/// The pages, filled. They are the same ones each time, since nothing else was freed meanwhile.
fn new_run(byte: u8) -> OwnedRun<'static, Machine, SmpKernel> {
    let run = HEAP
        .pages()
        .allocate(PAGES, FRAME_BYTES, AllocFlags::empty());
    let run = run.expect("there is memory");
    let first: *mut u8 = run.as_ptr().as_ptr().cast();
    // SAFETY: the run is writable, and of this test alone.
    unsafe { first.write_bytes(byte, PAGES * FRAME_BYTES) };
    let base = BASE.swap(first.addr(), Ordering::Release);
    assert!(base == 0 || base == first.addr(), "the run lies elsewhere");
    run
}

fn give_back() {
    let scavenged = HEAP.scavenge(usize::MAX).expect("this CPU may wait");
    assert!(scavenged >= PAGES, "{scavenged} pages were given back");
}

/// Has a CPU touch the pages.
fn look_on(cpu: usize) -> (usize, usize) {
    cpus::on(cpu, || {
        let base = BASE.load(Ordering::Acquire);
        let pages = (0..PAGES).map(|page| base + page * FRAME_BYTES);
        // With interrupts masked nothing but the shoot-down itself has dropped a translation.
        let bytes = without_interrupts(|| {
            let bytes = pages.filter_map(|page| probe_read(page).ok());
            bytes.fold((0, 0), |(count, sum), byte| {
                (count + 1, sum + usize::from(byte))
            })
        });
        READABLE.store(bytes.0, Ordering::Release);
        SUM.store(bytes.1, Ordering::Release);
    });
    let count = READABLE.load(Ordering::Acquire);
    (count, SUM.load(Ordering::Acquire))
}
