//! The contract of `archipelago_api` on this machine's page tables: every rule, in windows
//! everywhere in the address space, and the faults of touching memory in each state.
#![no_std]
#![no_main]

use archipelago_api::{Machine, Patience, VirtAddr, VirtRange};
use archipelago_conformance::{Contend, Exhaust, Subject};
use archipelago_qemu::{
    Access, Account, BYTES_UNDER_TEST, Boot, FRAME_BYTES, FREE_PAGE, Fault, HAS_EXECUTE_NEVER,
    HeapMachine, Memory, Permissions, RETURN, Reason, USER_CAN_TOUCH, Verdict, WINDOWS_UNDER_TEST,
    entry, exit, holding_machine, machine, println, probe_execute, probe_read, probe_write,
    protocol, share_memory, translate,
};

entry!(main);

/// Bytes of a page.
const PAGE: usize = FRAME_BYTES;

/// The machine under test.
struct Bench {
    memory: &'static Memory,
    account: Account,
}

impl Exhaust for Bench {
    fn set_available_frames(&self, frames: usize) {
        self.memory.lock().1.set_available(frames as u64);
    }

    fn frames_in_use(&self) -> usize {
        let frames = self.account.frames(&self.memory.lock().1);
        usize::try_from(frames).expect("fewer than there are addresses")
    }
}

impl Contend for Bench {
    fn while_held(&self, act: &mut dyn FnMut()) {
        let _held = self.memory.lock();
        act();
    }
}

/// A test besides those of the contract.
type OneTest = (&'static str, fn(&mut Bench));

const TESTS: [OneTest; 4] = [
    (
        "the contract holds on a frame allocator that takes nothing back",
        holding,
    ),
    ("touching memory faults in every state but Ready", faults),
    (
        "memory is never executable, where the processor can forbid it",
        never_executable,
    ),
    ("every frame is back", all_back),
];

fn main(boot: Boot) -> ! {
    let account = Account::open(&boot.frames);
    let memory = share_memory(boot);
    let mut bench = Bench { memory, account };
    protocol::plan(WINDOWS_UNDER_TEST.len() + TESTS.len());
    let mut number = 0;
    for (name, base) in WINDOWS_UNDER_TEST {
        number += 1;
        protocol::test(number, name, || {
            contract(&mut bench, *base);
        });
    }
    for (name, run) in TESTS {
        number += 1;
        protocol::test(number, name, || run(&mut bench));
    }
    exit(Verdict::Pass)
}

fn contract(bench: &mut Bench, base: usize) {
    check(bench, &machine(bench.memory), base);
    all_back(bench);
}

fn check(bench: &Bench, machine: &HeapMachine, base: usize) {
    let subject = Subject::new(machine, range(base, BYTES_UNDER_TEST));
    let mut rules = 0;
    let begins = |progress| println!("# {progress}");
    subject
        .exhaust(bench)
        .contend(bench)
        .progress(&begins)
        .run(&mut |rule, outcome| {
            rules += 1;
            if let Err(found) = outcome {
                panic!("{rule}: {found}");
            }
        });
    assert!(rules > 0, "no rule was tested");
    println!("# {rules} rules at {base:#x}");
}

fn holding(bench: &mut Bench) {
    let machine = holding_machine(bench.memory);
    check(bench, &machine, FREE_PAGE - 5 * PAGE);
    let held = machine.footprint().held_frames;
    assert!(held > 0);
    assert_eq!(bench.frames_in_use(), held);
    // The machine is dropped with the frames that it holds, which are lost from now on.
    bench.account = Account::open(&bench.memory.lock().1);
}

fn all_back(bench: &mut Bench) {
    assert_eq!(bench.frames_in_use(), 0);
}

fn range(base: usize, bytes: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), bytes).expect("it does not wrap")
}

#[track_caller]
fn write(address: usize, byte: u8) -> Result<(), Fault> {
    // SAFETY: the tests write to memory of a machine under test alone.
    unsafe { probe_write(address, byte) }
}

#[track_caller]
fn assert_faults(page: usize) {
    for address in [page, page + 1, page + PAGE - 1] {
        let read = probe_read(address).expect_err("reading faults");
        let expected = (Some(address), Some(Access::Read), Reason::NotMapped);
        assert_eq!((read.address, read.access, read.reason), expected, "{read}");
        let written = write(address, 0).expect_err("writing faults");
        let expected = (Some(address), Some(Access::Write), Reason::NotMapped);
        let found = (written.address, written.access, written.reason);
        assert_eq!(found, expected, "{written}");
    }
}

#[track_caller]
fn assert_works(page: usize) {
    for (address, byte) in [(page, 1), (page + PAGE - 1, 2)] {
        assert_eq!(write(address, byte), Ok(()));
        assert_eq!(probe_read(address), Ok(byte));
    }
}

/// Brings the middle page of three from state to state, beside one that stays Ready and one that
/// stays Prepared.
fn faults(bench: &mut Bench) {
    let machine = machine(bench.memory);
    let base = FREE_PAGE - PAGE;
    let window = range(base, 3 * PAGE);
    let [ready, page, prepared] = [0, 1, 2].map(|page| base + page * PAGE);
    let one = range(page, PAGE);
    let wait = Patience::Wait;

    assert_faults(page);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, wait) }.expect("it is free");
    assert_faults(page);
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, wait) }.expect("there are frames");
    assert_faults(page);
    // SAFETY: the page is Prepared.
    unsafe { machine.commit(range(ready, PAGE), wait) }.expect("there are frames");
    for _ in 0..2 {
        // SAFETY: the page is Prepared.
        unsafe { machine.commit(one, wait) }.expect("there are frames");
        assert_works(page);
        // SAFETY: the page is Ready, and nothing uses it.
        unsafe { machine.decommit(one, wait) }.expect("it waits");
        assert_faults(page);
        assert_works(ready);
        assert_faults(prepared);
    }
    // SAFETY: the page is Prepared.
    unsafe { machine.commit(one, wait) }.expect("there are frames");
    assert_works(page);
    // SAFETY: the page is Ready, and nothing uses it.
    unsafe { machine.fault(one, wait) }.expect("it waits");
    assert_faults(page);
    assert_works(ready);
    // SAFETY: the window is reserved, and nothing uses it.
    unsafe { machine.release(window, wait) }.expect("it waits");
    [ready, page, prepared].into_iter().for_each(assert_faults);
}

fn never_executable(bench: &mut Bench) {
    let machine = machine(bench.memory);
    let page = FREE_PAGE;
    let (one, wait) = (range(page, PAGE), Patience::Wait);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(one, wait) }.expect("it is free");
    // SAFETY: the page is Reserved.
    unsafe { machine.prepare(one, wait) }.expect("there are frames");
    // SAFETY: the page is Prepared.
    unsafe { machine.commit(one, wait) }.expect("there are frames");
    if HAS_EXECUTE_NEVER {
        for (place, byte) in (page..).zip(RETURN) {
            write(place, *byte).expect("it is Ready");
        }
        // SAFETY: a function is there.
        let fault = unsafe { probe_execute(page) }.expect_err("executing faults");
        let found = (fault.address, fault.access, fault.reason);
        let expected = (Some(page), Some(Access::Execute), Reason::Forbidden);
        assert_eq!(found, expected, "{fault}");
    }
    let translation = translate(&bench.memory.lock().0, page).expect("it is Ready");
    let permissions = Permissions {
        writable: true,
        executable: !HAS_EXECUTE_NEVER,
    };
    assert_eq!(translation.permissions, permissions);
    assert_eq!(translation.user, USER_CAN_TOUCH);
    // SAFETY: the page is reserved, and nothing uses it.
    unsafe { machine.release(one, wait) }.expect("it waits");
    assert_eq!(translate(&bench.memory.lock().0, page), None);
}
