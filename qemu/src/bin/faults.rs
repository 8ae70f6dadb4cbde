//! Faults: the processor reports accesses to memory that is not mapped, and the kernel survives
//! them.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Access, Boot, CODE_IS_READ_ONLY, FILL, FRAME_BYTES, FREE_PAGE, Fault, HAS_EXECUTE_NEVER,
    NOT_ADDRESSES, NOT_MAPPED, Permissions, RETURN, Reason, USER_CAN_TOUCH, entry, map,
    on_interrupt, physmap, probe_execute, probe_read, probe_write, raise_interrupt, translate,
    unmap,
};

entry!(main);

fn main(mut boot: Boot) -> ! {
    let tests = [
        Test {
            name: "memory that is not mapped faults",
            run: not_mapped,
        },
        Test {
            name: "numbers that are no addresses fault",
            run: not_addresses,
        },
        Test {
            name: "the kernel's code cannot be written, where it lies in mapped memory",
            run: code,
        },
        Test {
            name: "the physmap cannot be executed, where the processor can forbid it",
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
            name: "an interrupt runs its handler and the kernel continues",
            run: interrupt,
        },
    ];
    protocol::run(&tests, &mut boot)
}

#[track_caller]
fn assert_faults<T: core::fmt::Debug>(
    result: Result<T, Fault>,
    address: usize,
    access: Access,
    reason: Reason,
) {
    let fault = result.expect_err("the access faults");
    assert_eq!(fault.address, Some(address), "{fault}");
    assert_eq!(fault.access, Some(access), "{fault}");
    assert_eq!(fault.reason, reason, "{fault}");
}

#[track_caller]
fn write(address: usize, byte: u8) -> Result<(), Fault> {
    // SAFETY: the tests write to memory that nothing is mapped at, that forbids it, or to a frame
    // of their own.
    unsafe { probe_write(address, byte) }
}

fn not_mapped(_: &mut Boot) {
    for address in NOT_MAPPED.iter().copied() {
        assert_faults(
            probe_read(address),
            address,
            Access::Read,
            Reason::NotMapped,
        );
        let written = write(address, 0);
        assert_faults(written, address, Access::Write, Reason::NotMapped);
    }
}

fn not_addresses(_: &mut Boot) {
    for address in NOT_ADDRESSES.iter().copied() {
        for fault in [probe_read(address).map(drop), write(address, 0)] {
            let fault = fault.expect_err("the access faults");
            assert_eq!(fault.reason, Reason::NotAnAddress, "{address:#x}: {fault}");
        }
    }
}

fn code(_: &mut Boot) {
    let address = code as fn(&mut Boot) as usize;
    let before = probe_read(address).expect("code can be read");
    if CODE_IS_READ_ONLY {
        let written = write(address, !before);
        assert_faults(written, address, Access::Write, Reason::Forbidden);
    }
    assert_eq!(probe_read(address), Ok(before));
}

fn physmap_not_executable(boot: &mut Boot) {
    let frame = boot.frames.take().expect("a frame is free");
    let address = physmap(frame).addr();
    write_return(address);
    if HAS_EXECUTE_NEVER {
        assert_faults(
            execute(address),
            address,
            Access::Execute,
            Reason::Forbidden,
        );
    } else {
        assert_eq!(execute(address), Ok(()));
    }
    boot.frames.give_back(frame);
}

fn write_return(address: usize) {
    for (place, byte) in (address..).zip(RETURN) {
        write(place, *byte).expect("the page can be written");
    }
}

fn execute(address: usize) -> Result<(), Fault> {
    // SAFETY: the tests put a function there first.
    unsafe { probe_execute(address) }
}

fn map_free_page(boot: &mut Boot, writable: bool, executable: bool) -> u64 {
    let permissions = Permissions {
        writable,
        executable,
    };
    let frame = map(&mut boot.mapper, &mut boot.frames, FREE_PAGE, permissions);
    let translation = translate(&boot.mapper, FREE_PAGE).expect("the page is mapped");
    assert_eq!(
        (translation.frame, translation.user),
        (frame, USER_CAN_TOUCH)
    );
    assert_eq!(translation.permissions.writable, writable);
    let can_be_executed = executable || !HAS_EXECUTE_NEVER;
    assert_eq!(translation.permissions.executable, can_be_executed);
    frame
}

fn unmap_free_page(boot: &mut Boot, expected: u64) {
    let frame = unmap(&mut boot.mapper, &mut boot.frames, FREE_PAGE);
    assert_eq!(frame, expected);
    assert_eq!(translate(&boot.mapper, FREE_PAGE), None);
}

fn map_unmap(boot: &mut Boot) {
    let frame = map_free_page(boot, true, false);
    for page in [FREE_PAGE, FREE_PAGE + FRAME_BYTES - 1] {
        assert_eq!(probe_read(page), Ok(FILL));
        write(page, 7).expect("the page is writable");
        assert_eq!(probe_read(page), Ok(7));
    }
    unmap_free_page(boot, frame);
    let read = probe_read(FREE_PAGE);
    assert_faults(read, FREE_PAGE, Access::Read, Reason::NotMapped);
}

fn flags(boot: &mut Boot) {
    let frame = map_free_page(boot, false, false);
    let written = write(FREE_PAGE, 0);
    assert_faults(written, FREE_PAGE, Access::Write, Reason::Forbidden);
    if HAS_EXECUTE_NEVER {
        let executed = execute(FREE_PAGE);
        assert_faults(executed, FREE_PAGE, Access::Execute, Reason::Forbidden);
    }
    unmap_free_page(boot, frame);

    let frame = map_free_page(boot, true, true);
    write_return(FREE_PAGE);
    execute(FREE_PAGE).expect("the page is executable");
    unmap_free_page(boot, frame);
}

static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

fn interrupt(_: &mut Boot) {
    on_interrupt(|| _ = INTERRUPTS.fetch_add(1, Ordering::Relaxed));
    raise_interrupt();
    raise_interrupt();
    assert_eq!(INTERRUPTS.load(Ordering::Relaxed), 2);
}
