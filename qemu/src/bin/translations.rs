//! Translations that the processor caches: when the machine removes an entry from the page tables,
//! its translation is gone at once.
//!
//! With the word `careless=NAME` on the command line, the test of that name runs on a machine
//! without TLB maintenance, and has to fail.
#![no_std]
#![no_main]

use archipelago_api::{Machine, Patience, VirtAddr, VirtRange};
use archipelago_qemu::{
    Boot, FRAME_BYTES, FREE_PAGE, Fault, Memory, Verdict, entry, exit, machine,
    machine_without_invalidation, physmap, probe_read, probe_write, protocol, share_memory,
};

entry!(main);

/// Bytes of a page.
const PAGE: usize = FRAME_BYTES;

/// The byte that the tests write.
const MARK: u8 = 0x3c;

/// Pages for which a machine flushes them one by one, and for which it rather flushes everything.
const FEW: usize = 3;
const MANY: usize = 200;

/// A name for the command line, the statement that the test proves, and the test.
type OneTest<M> = (&'static str, &'static str, fn(&M, &'static Memory));

fn tests<M: Machine>() -> [OneTest<M>; 6] {
    [
        (
            "decommit",
            "pages that were decommitted are translated no more",
            |machine, _| decommitted(machine, FEW),
        ),
        (
            "many",
            "nor are many pages, decommitted in one call",
            |machine, _| decommitted(machine, MANY),
        ),
        ("fault", "nor are pages that were faulted", |machine, _| {
            faulted(machine)
        }),
        (
            "release",
            "nor are pages that were released",
            |machine, _| released(machine),
        ),
        (
            "recommit",
            "a page that was committed again is translated to its new frame",
            recommitted,
        ),
        (
            "touched",
            "a page that was touched before it was Ready is found when it is",
            |machine, _| touched_before(machine),
        ),
    ]
}

fn main(boot: Boot) -> ! {
    let test = boot.info.value("careless");
    let memory = share_memory(boot);
    match test {
        Some(name) => run(&machine_without_invalidation(memory), memory, |test| {
            test == name
        }),
        None => run(&machine(memory), memory, |_| true),
    }
}

fn run<M: Machine>(machine: &M, memory: &'static Memory, is_wanted: impl Fn(&str) -> bool) -> ! {
    let wanted = |test: &OneTest<M>| is_wanted(test.0);
    protocol::plan(tests::<M>().iter().filter(|test| wanted(test)).count());
    let tests = tests::<M>().into_iter().filter(|test| wanted(test));
    for (number, (_, name, test)) in (1..).zip(tests) {
        protocol::test(number, name, || test(machine, memory));
    }
    exit(Verdict::Pass)
}

/// The first `count` pages from [`FREE_PAGE`] on.
fn pages(count: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(FREE_PAGE), count * PAGE).expect("it does not wrap")
}

fn write(address: usize) -> Result<(), Fault> {
    // SAFETY: the tests write only to memory of the machine under test; where its translation is
    // stale, to a frame that nothing uses.
    unsafe { probe_write(address, MARK) }
}

/// Reserves and prepares pages.
fn prepare(machine: &impl Machine, range: VirtRange) {
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(range, Patience::Wait) }.expect("it is free");
    // SAFETY: the range is Reserved.
    unsafe { machine.prepare(range, Patience::Wait) }.expect("there are frames");
}

/// Makes Prepared pages Ready, and has the processor remember every one of them.
fn commit(machine: &impl Machine, range: VirtRange) {
    // SAFETY: the range is Prepared.
    unsafe { machine.commit(range, Patience::Wait) }.expect("there are frames");
    for page in addresses(range) {
        write(page).expect("the page is Ready");
        assert_eq!(probe_read(page), Ok(MARK));
    }
}

fn release(machine: &impl Machine, range: VirtRange) {
    // SAFETY: the range is reserved, and nothing uses it.
    unsafe { machine.release(range, Patience::Wait) }.expect("it waits");
}

fn addresses(range: VirtRange) -> impl DoubleEndedIterator<Item = usize> {
    (0..range.bytes() / PAGE).map(move |page| range.base().value() + page * PAGE)
}

/// The page that was touched last comes first: a small TLB has forgotten others by itself.
#[track_caller]
fn assert_gone(range: VirtRange) {
    for page in addresses(range).rev() {
        assert!(probe_read(page).is_err(), "{page:#x} is still translated");
    }
}

fn decommitted(machine: &impl Machine, count: usize) {
    let range = pages(count);
    prepare(machine, range);
    commit(machine, range);
    // SAFETY: the range is Ready, and nothing uses it.
    unsafe { machine.decommit(range, Patience::Wait) }.expect("it waits");
    assert_gone(range);
    release(machine, range);
}

fn faulted(machine: &impl Machine) {
    let range = pages(FEW);
    prepare(machine, range);
    commit(machine, range);
    // SAFETY: the range is Ready, and nothing uses it.
    unsafe { machine.fault(range, Patience::Wait) }.expect("it waits");
    assert_gone(range);
    release(machine, range);
}

fn released(machine: &impl Machine) {
    let range = pages(FEW);
    prepare(machine, range);
    commit(machine, range);
    release(machine, range);
    assert_gone(range);
}

fn recommitted(machine: &impl Machine, memory: &'static Memory) {
    let range = pages(1);
    prepare(machine, range);
    commit(machine, range);
    // SAFETY: the page is Ready, and nothing uses it.
    unsafe { machine.decommit(range, Patience::Wait) }.expect("it waits");
    // The lowest free frame, which it had.
    let former = memory.lock().1.take().expect("a frame is free");
    let filled = read(former);
    commit(machine, range);
    let is_the_former = read(former) != filled;
    assert!(
        !is_the_former,
        "the page is still translated to its former frame"
    );
    memory.lock().1.give_back(former);
    release(machine, range);
}

/// The first byte of a frame.
fn read(frame: u64) -> u8 {
    // SAFETY: the physmap maps the frame, which this kernel has taken.
    unsafe { physmap(frame).read_volatile() }
}

fn touched_before(machine: &impl Machine) {
    let range = pages(FEW);
    prepare(machine, range);
    for page in addresses(range) {
        assert!(probe_read(page).is_err() && write(page).is_err());
        let one = VirtRange::new(VirtAddr::new(page), PAGE).expect("it does not wrap");
        commit(machine, one);
    }
    release(machine, range);
}
