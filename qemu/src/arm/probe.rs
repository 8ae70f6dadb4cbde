//! Touching memory that may not be there, and living to tell.
//!
//! Each probe is a few instructions with known addresses. When one of them faults, the trap handler
//! finds the instruction among them, keeps the fault and goes on at `probe_failed`.

use core::arch::{asm, global_asm};

use spin::Mutex;

use super::trap::TrapFrame;
use crate::Fault;

global_asm!(
    r#"
    .text
    .arm
probe_load:                     // (address) -> the byte
    ldrb r0, [r0]
    bx lr
probe_store:                    // (address, byte) -> 0
    strb r1, [r0]
    mov r0, #0
    bx lr
probe_call:                     // (address) -> 0
    push {{r4, lr}}
    blx r0
probe_called:
    mov r0, #0
    pop {{r4, pc}}
probe_call_failed:
    pop {{r4, lr}}
probe_failed:
    mvn r0, #0
    bx lr
    "#
);

unsafe extern "C" {
    fn probe_load(address: *const u8) -> u32;
    fn probe_store(address: *mut u8, byte: u8) -> u32;
    fn probe_call(address: *const u8) -> u32;
    static probe_called: u8;
    static probe_call_failed: u8;
    static probe_failed: u8;
}

/// What a probe returns whose instruction faulted.
const FAILED: u32 = u32::MAX;

/// The code of a function that returns: `bx lr`.
pub const RETURN: &[u8] = &[0x1e, 0xff, 0x2f, 0xe1];

/// The last fault of a probe, until the probe takes it.
static FAULT: Mutex<Option<Fault>> = Mutex::new(None);

/// Reads a byte.
///
/// # Errors
/// The fault, where the address cannot be read.
pub fn probe_read(address: usize) -> Result<u8, Fault> {
    // SAFETY: reading a byte changes no memory, and where it faults `recover` makes the probe
    // return.
    let byte = outcome(unsafe { probe_load(address as *const u8) })?;
    Ok(u8::try_from(byte).expect("the probe loads one byte"))
}

/// Writes a byte.
///
/// # Safety
/// Where the address can be written, changing the byte breaks nothing.
///
/// # Errors
/// The fault, where the address cannot be written; nothing has changed.
pub unsafe fn probe_write(address: usize, byte: u8) -> Result<(), Fault> {
    // SAFETY: the caller vouches for the write; where it faults, `recover` makes the probe return.
    outcome(unsafe { probe_store(address as *mut u8, byte) }).map(drop)
}

/// Calls an address.
///
/// # Safety
/// Where the address can be executed, a function without arguments is there that keeps to the C
/// calling convention, such as [`RETURN`].
///
/// # Errors
/// The fault, where the instruction at the address cannot be fetched.
pub unsafe fn probe_execute(address: usize) -> Result<(), Fault> {
    forget_code();
    // SAFETY: the caller vouches for what is there; where the fetch faults, `recover` makes the
    // probe return.
    outcome(unsafe { probe_call(address as *const u8) }).map(drop)
}

/// Has the processor fetch what was written. The data caches of this CPU need no cleaning: it is
/// QEMU's, which has none.
fn forget_code() {
    // SAFETY: ICIALLU: what the instruction caches hold is in memory.
    unsafe {
        asm!("dsb", "mcr p15, 0, {0}, c7, c5, 0", "mcr p15, 0, {0}, c7, c5, 6", "dsb", "isb", in(reg) 0)
    };
}

fn outcome(result: u32) -> Result<u32, Fault> {
    if result != FAILED {
        return Ok(result);
    }
    Err(FAULT
        .lock()
        .take()
        .expect("a probe that failed left its fault"))
}

/// Lets a probe that faulted return; says whether the fault was a probe's.
pub(super) fn recover(frame: &mut TrapFrame, fault: Fault) -> bool {
    let touching = [probe_load as *const u8, probe_store as *const u8];
    let was_called = || frame.link == word(&raw const probe_called);
    let recovery = if touching.iter().any(|at| at.addr() == fault.instruction) {
        &raw const probe_failed
    } else if fault.address == Some(fault.instruction) && was_called() {
        &raw const probe_call_failed
    } else {
        return false;
    };
    frame.pc = word(recovery);
    *FAULT.lock() = Some(fault);
    true
}

fn word(address: *const u8) -> u32 {
    u32::try_from(address.addr()).expect("words have 32 bits")
}
