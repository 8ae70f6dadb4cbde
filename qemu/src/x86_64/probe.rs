//! Touching memory that may not be there, and living to tell.
//!
//! Each probe is a few instructions with known addresses. When one of them faults, the trap
//! handler finds the instruction among them, keeps the fault and goes on at `probe_failed`.

use core::arch::global_asm;

use spin::Mutex;

use super::trap::TrapFrame;
use crate::Fault;

global_asm!(
    r#"
    .text
probe_load:                     // (address) -> the byte
    movzx eax, byte ptr [rdi]
    ret
probe_store:                    // (address, byte) -> 0
    mov byte ptr [rdi], sil
    xor eax, eax
    ret
probe_call:                     // (address) -> 0
    push rbp
    call rdi
probe_called:
    pop rbp
    xor eax, eax
    ret
probe_call_failed:
    pop rbp
probe_failed:
    mov rax, -1
    ret
    "#
);

unsafe extern "C" {
    fn probe_load(address: *const u8) -> u64;
    fn probe_store(address: *mut u8, byte: u8) -> u64;
    fn probe_call(address: *const u8) -> u64;
    static probe_called: u8;
    static probe_call_failed: u8;
    static probe_failed: u8;
}

/// What a probe returns whose instruction faulted.
const FAILED: u64 = u64::MAX;

/// The code of a function that returns.
pub const RETURN: &[u8] = &[0xc3];

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
    // SAFETY: the caller vouches for what is there; where the fetch faults, `recover` makes the
    // probe return.
    outcome(unsafe { probe_call(address as *const u8) }).map(drop)
}

fn outcome(result: u64) -> Result<u64, Fault> {
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
    let recovery = if touching.iter().any(|at| at.addr() == fault.instruction) {
        &raw const probe_failed
    } else if fault.address == Some(fault.instruction) && called_by_probe(frame) {
        frame.rsp += 8;
        &raw const probe_call_failed
    } else {
        return false;
    };
    frame.rip = recovery.addr() as u64;
    *FAULT.lock() = Some(fault);
    true
}

/// Whether the code that faulted was just called by `probe_call`: its return address tells.
fn called_by_probe(frame: &TrapFrame) -> bool {
    let stack = frame.rsp as *const u64;
    // SAFETY: the faulting code ran on the kernel's stack, which is mapped and holds at least the
    // return address of its caller.
    let caller = unsafe { stack.read() };
    caller == (&raw const probe_called).addr() as u64
}
