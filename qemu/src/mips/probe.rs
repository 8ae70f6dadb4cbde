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
    .section .text.probe, "ax", @progbits
    .set push
    .set mips32r2
    .set noreorder
probe_load:                         // (address) -> the byte
    lbu     $v0, 0($a0)
    jr      $ra
    nop
probe_store:                        // (address, byte) -> 0
    sb      $a1, 0($a0)
    jr      $ra
    move    $v0, $zero
probe_call:                         // (address) -> 0
    addiu   $sp, $sp, -24
    sw      $ra, 20($sp)
    jalr.hb $a0                     // what was just written is fetched
    nop
probe_called:
    lw      $ra, 20($sp)
    addiu   $sp, $sp, 24
    jr      $ra
    move    $v0, $zero
probe_call_failed:
    lw      $ra, 20($sp)
    addiu   $sp, $sp, 24
probe_failed:
    jr      $ra
    li      $v0, -1
    .set pop
    .text
    "#
);

unsafe extern "C" {
    fn probe_load(address: usize) -> i32;
    fn probe_store(address: usize, byte: u8) -> i32;
    fn probe_call(address: usize) -> i32;
    static probe_called: u8;
    static probe_call_failed: u8;
    static probe_failed: u8;
}

/// The shortest function: `jr $ra`, and `nop` in its delay slot, in the kernel's byte order.
pub const RETURN: &[u8] = {
    const JR_RA: [u8; 4] = 0x03e0_0008_u32.to_ne_bytes();
    &[JR_RA[0], JR_RA[1], JR_RA[2], JR_RA[3], 0, 0, 0, 0]
};

/// What a probe returns whose instruction faulted.
const FAILED: i32 = -1;

/// The last fault of a probe, until the probe takes it.
static FAULT: Mutex<Option<Fault>> = Mutex::new(None);

/// Reads a byte.
///
/// # Errors
/// The fault, where the address cannot be read.
pub fn probe_read(address: usize) -> Result<u8, Fault> {
    // SAFETY: reading a byte changes no memory, and where it faults `recover` makes the probe
    // return.
    let byte = outcome(unsafe { probe_load(address) })?;
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
    outcome(unsafe { probe_store(address, byte) }).map(drop)
}

/// Calls an address.
///
/// # Safety
/// Where the address can be executed, a function without arguments is there that keeps to the C
/// calling convention.
///
/// # Errors
/// The fault, where the instruction at the address cannot be fetched.
pub unsafe fn probe_execute(address: usize) -> Result<(), Fault> {
    if probe_read(address).is_ok() {
        // SAFETY: the address can be read, so this does not fault; it changes what is fetched to
        // what is in memory.
        unsafe { asm!("synci 0({})", "sync", in(reg) address, options(nostack)) };
    }
    // SAFETY: the caller vouches for what is there; where the fetch faults, `recover` makes the
    // probe return.
    outcome(unsafe { probe_call(address) }).map(drop)
}

fn outcome(result: i32) -> Result<i32, Fault> {
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
    let touching = [
        (probe_load as *const u8).addr(),
        (probe_store as *const u8).addr(),
    ];
    let recovery = if touching.contains(&fault.instruction) {
        &raw const probe_failed
    } else if fault.address == Some(fault.instruction) && called_by_probe(frame) {
        &raw const probe_call_failed
    } else {
        return false;
    };
    frame.epc = recovery.addr();
    *FAULT.lock() = Some(fault);
    true
}

/// Whether the code that faulted was just called by `probe_call`: its return address tells.
fn called_by_probe(frame: &TrapFrame) -> bool {
    frame.return_address() == (&raw const probe_called).addr()
}
