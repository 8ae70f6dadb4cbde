//! The contract of `archipelago_api` on this machine's page tables: every rule, in windows
//! everywhere in the address space, and what the processor says to touching memory in each state.
#![no_std]
#![no_main]

use archipelago_api::conformance::{Contend, Exhaust, Subject};
use archipelago_api::{Machine, Patience, VirtAddr, VirtRange};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Account, Boot, Fault, HeapMachine, Memory, entry, machine, probe_execute, probe_read,
    probe_write, share_memory,
};
use x86_64::structures::idt::PageFaultErrorCode as Reason;
use x86_64::structures::paging::PageTableFlags;
use x86_64::structures::paging::mapper::{MappedFrame, Translate, TranslateResult};

entry!(main);

/// Bytes of a page.
const PAGE: usize = 4096;

/// More than the suite asks for, and over the end of a last-level table wherever it begins below
/// one.
const WINDOW: usize = 64 * PAGE;

/// The one-byte function: `ret`.
const RET: u8 = 0xc3;

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

fn main(boot: Boot) -> ! {
    let tests = [
        Test {
            name: "the contract holds at offset 0, where the upper half starts",
            run: |bench| contract(bench, 0xffff_8000_0000_0000),
        },
        Test {
            name: "the contract holds next to the granule at address 0",
            run: |bench| contract(bench, PAGE),
        },
        Test {
            name: "the contract holds where the tutorials have their heap",
            run: |bench| contract(bench, 0x4444_4444_0000),
        },
        Test {
            name: "the contract holds over the end of a last-level table",
            run: |bench| contract(bench, 0x4444_4460_0000 - 5 * PAGE),
        },
        Test {
            name: "the contract holds over the end of a level-4 entry",
            run: |bench| contract(bench, 0x4480_0000_0000 - 9 * PAGE),
        },
        Test {
            name: "the contract holds up to the top of the lower half",
            run: |bench| contract(bench, 0x8000_0000_0000 - WINDOW),
        },
        Test {
            name: "the contract holds up to the top of the address space",
            run: |bench| contract(bench, 0_usize.wrapping_sub(WINDOW)),
        },
        Test {
            name: "the contract holds on a frame source that takes nothing back",
            run: holding,
        },
        Test {
            name: "touching memory faults in every state but Ready",
            run: faults,
        },
        Test {
            name: "memory is never executable",
            run: never_executable,
        },
        Test {
            name: "every frame is back",
            run: all_back,
        },
    ];
    let account = Account::open(&boot.frames);
    let memory = share_memory(boot);
    protocol::run(&tests, &mut Bench { memory, account })
}

fn contract(bench: &mut Bench, base: usize) {
    check(bench, &machine(bench.memory).returning(), base);
    all_back(bench);
}

fn check(bench: &Bench, machine: &HeapMachine, base: usize) {
    let subject = Subject::new(machine, range(base, WINDOW));
    let mut rules = 0;
    subject
        .exhaust(bench)
        .contend(bench)
        .run(&mut |rule, outcome| {
            rules += 1;
            if let Err(found) = outcome {
                panic!("{rule}: {found}");
            }
        });
    assert!(rules > 0, "no rule was tested");
    archipelago_qemu::println!("# {rules} rules at {base:#x}");
}

fn holding(bench: &mut Bench) {
    let machine = machine(bench.memory);
    check(bench, &machine, 0x5555_5560_0000 - 5 * PAGE);
    let held = machine.footprint().held_frames;
    assert!(held > 0);
    assert_eq!(bench.frames_in_use(), held);
    // The machine is dropped with the frames that it holds, which are nobody's from now on.
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
        assert_eq!(read.address, Some(address as u64), "{read}");
        assert_eq!(read.page_fault(), Some(Reason::empty()), "{read}");
        let written = write(address, 0).expect_err("writing faults");
        assert_eq!(written.address, Some(address as u64), "{written}");
        assert_eq!(written.page_fault(), Some(Reason::CAUSED_BY_WRITE));
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
    let machine = machine(bench.memory).returning();
    let base = 0x6666_6660_0000 - PAGE;
    let window = range(base, 3 * PAGE);
    let [ready, page, prepared] = [0, 1, 2].map(|page| base + page * PAGE);
    let one = range(page, PAGE);
    let wait = Patience::Wait;

    assert_faults(page);
    machine.reserve(window, wait).expect("it is free");
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
        // SAFETY: the page is Ready, and nobody uses it any more.
        unsafe { machine.decommit(one, wait) }.expect("it waits");
        assert_faults(page);
        assert_works(ready);
        assert_faults(prepared);
    }
    // SAFETY: the page is Prepared.
    unsafe { machine.commit(one, wait) }.expect("there are frames");
    assert_works(page);
    // SAFETY: the page is Ready, and nobody uses it any more.
    unsafe { machine.fault(one, wait) }.expect("it waits");
    assert_faults(page);
    assert_works(ready);
    // SAFETY: the window is reserved, and nobody uses it any more.
    unsafe { machine.release(window, wait) }.expect("it waits");
    [ready, page, prepared].into_iter().for_each(assert_faults);
}

fn never_executable(bench: &mut Bench) {
    let machine = machine(bench.memory).returning();
    let page = 0x6666_6660_0000;
    let (one, wait) = (range(page, PAGE), Patience::Wait);
    machine.reserve(one, wait).expect("it is free");
    // SAFETY: the page is Reserved.
    unsafe { machine.prepare(one, wait) }.expect("there are frames");
    // SAFETY: the page is Prepared.
    unsafe { machine.commit(one, wait) }.expect("there are frames");
    write(page, RET).expect("it is Ready");
    // SAFETY: a `ret` is there.
    let fault = unsafe { probe_execute(page) }.expect_err("executing faults");
    assert_eq!(fault.address, Some(page as u64), "{fault}");
    let forbidden = Reason::INSTRUCTION_FETCH | Reason::PROTECTION_VIOLATION;
    assert_eq!(fault.page_fault(), Some(forbidden), "{fault}");

    let address = x86_64::VirtAddr::new(page as u64);
    let translated = bench.memory.lock().0.translate(address);
    let TranslateResult::Mapped { frame, flags, .. } = translated else {
        panic!("{translated:?}");
    };
    assert!(matches!(frame, MappedFrame::Size4KiB(_)));
    assert!(flags.contains(PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE));
    assert!(!flags.contains(PageTableFlags::USER_ACCESSIBLE));
    // SAFETY: the page is reserved, and nobody uses it any more.
    unsafe { machine.release(one, wait) }.expect("it waits");
}
