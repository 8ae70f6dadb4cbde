//! Faults: what the processor says about memory that is not there, and that a kernel survives it.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Boot, FILL, Fault, entry, on_interrupt, physmap, probe_execute, probe_read, probe_write,
    raise_interrupt,
};
use x86_64::VirtAddr;
use x86_64::structures::idt::PageFaultErrorCode as Reason;
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, Mapper, Page, PageTableFlags, PhysFrame,
};

entry!(main);

/// A page that nothing is mapped at.
const PAGE: usize = 0xffff_c000_0000_0000;

/// The one-byte function: `ret`.
const RET: u8 = 0xc3;

fn main(mut boot: Boot) -> ! {
    let tests = [
        Test {
            name: "memory that is not mapped faults",
            run: not_mapped,
        },
        Test {
            name: "non-canonical addresses fault",
            run: not_canonical,
        },
        Test {
            name: "the identity mapping is gone",
            run: low_memory,
        },
        Test {
            name: "the kernel's code cannot be written",
            run: code,
        },
        Test {
            name: "the physmap cannot be executed",
            run: physmap_not_executable,
        },
        Test {
            name: "a page works while it is mapped, and faults again after",
            run: map_unmap,
        },
        Test {
            name: "what forbids an access is reported",
            run: flags,
        },
        Test {
            name: "an interrupt runs its handler and the kernel goes on",
            run: interrupt,
        },
    ];
    protocol::run(&tests, &mut boot)
}

#[track_caller]
fn page_fault<T: core::fmt::Debug>(result: Result<T, Fault>, address: usize, reasons: Reason) {
    let fault = result.expect_err("the access faults");
    assert_eq!(fault.address, Some(address as u64), "{fault}");
    assert_eq!(fault.page_fault(), Some(reasons), "{fault}");
}

#[track_caller]
fn write(address: usize, byte: u8) -> Result<(), Fault> {
    // SAFETY: the tests write to memory that nothing is mapped at, that forbids it, or to a frame
    // of their own.
    unsafe { probe_write(address, byte) }
}

fn not_mapped(_: &mut Boot) {
    let reasons = Reason::empty();
    for address in [
        0,
        0x7fff_ffff_f000,
        PAGE,
        0xffff_ffff_7fff_f000,
        0xffff_ffff_ffff_ffff,
    ] {
        page_fault(probe_read(address), address, reasons);
        page_fault(
            write(address, 0),
            address,
            reasons | Reason::CAUSED_BY_WRITE,
        );
    }
}

fn not_canonical(_: &mut Boot) {
    for address in [0x0000_8000_0000_0000, 0xffff_7fff_ffff_ffff] {
        let fault = probe_read(address).expect_err("the access faults");
        assert_eq!(
            (fault.vector, fault.address),
            (Fault::GENERAL_PROTECTION, None),
            "{fault}"
        );
    }
}

fn low_memory(_: &mut Boot) {
    // Where the entry code ran.
    page_fault(probe_read(0x10_0000), 0x10_0000, Reason::empty());
}

fn code(_: &mut Boot) {
    let address = code as fn(&mut Boot) as usize;
    let before = probe_read(address).expect("code can be read");
    let forbidden = Reason::CAUSED_BY_WRITE | Reason::PROTECTION_VIOLATION;
    page_fault(write(address, !before), address, forbidden);
    assert_eq!(probe_read(address), Ok(before));
}

fn physmap_not_executable(boot: &mut Boot) {
    let frame = boot.frames.take().expect("a frame is free");
    let address = address_of(physmap(frame));
    write(address, RET).expect("the physmap can be written");
    page_fault(
        execute(address),
        address,
        Reason::INSTRUCTION_FETCH | Reason::PROTECTION_VIOLATION,
    );
    boot.frames.give_back(frame);
}

fn execute(address: usize) -> Result<(), Fault> {
    // SAFETY: the tests put a `ret` there first.
    unsafe { probe_execute(address) }
}

fn address_of(address: VirtAddr) -> usize {
    usize::try_from(address.as_u64()).expect("addresses are words")
}

fn map(boot: &mut Boot, flags: PageTableFlags) -> PhysFrame {
    let frame = boot.frames.allocate_frame().expect("a frame is free");
    let page = Page::containing_address(VirtAddr::new(PAGE as u64));
    let flags = flags | PageTableFlags::PRESENT;
    // SAFETY: the frame is this kernel's own, and nothing is mapped at the page.
    let mapped = unsafe { boot.mapper.map_to(page, frame, flags, &mut boot.frames) };
    mapped
        .expect("the page is free and there are frames")
        .flush();
    frame
}

fn unmap(boot: &mut Boot, expected: PhysFrame) {
    let page = Page::containing_address(VirtAddr::new(PAGE as u64));
    let (frame, flush) = boot.mapper.unmap(page).expect("the page is mapped");
    flush.flush();
    assert_eq!(frame, expected);
    // SAFETY: the frame is mapped nowhere but in the physmap now.
    unsafe { boot.frames.deallocate_frame(frame) };
}

fn map_unmap(boot: &mut Boot) {
    let frame = map(boot, PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE);
    assert_eq!(probe_read(PAGE), Ok(FILL));
    write(PAGE, 7).expect("the page is writable");
    assert_eq!(probe_read(PAGE), Ok(7));
    unmap(boot, frame);
    page_fault(probe_read(PAGE), PAGE, Reason::empty());
}

fn flags(boot: &mut Boot) {
    let frame = map(boot, PageTableFlags::NO_EXECUTE);
    let forbidden = Reason::PROTECTION_VIOLATION;
    page_fault(write(PAGE, 0), PAGE, Reason::CAUSED_BY_WRITE | forbidden);
    page_fault(execute(PAGE), PAGE, Reason::INSTRUCTION_FETCH | forbidden);
    unmap(boot, frame);

    let frame = map(boot, PageTableFlags::WRITABLE);
    write(PAGE, RET).expect("the page is writable");
    execute(PAGE).expect("the page is executable");
    unmap(boot, frame);
}

static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

fn interrupt(_: &mut Boot) {
    on_interrupt(|| _ = INTERRUPTS.fetch_add(1, Ordering::Relaxed));
    raise_interrupt();
    raise_interrupt();
    assert_eq!(INTERRUPTS.load(Ordering::Relaxed), 2);
}
