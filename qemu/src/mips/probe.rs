//! The instructions of the probes, each at a known address, and how one that faults returns.

use core::arch::{asm, global_asm};

use super::frame::TrapFrame;
use crate::fault::Fault;
use crate::probe::{Touch, keep, touch};

global_asm!(
    r#"
    .section .text.probe, "ax", @progbits
    .set push
    .set mips32r2
    .set noreorder
    .global probe_load, probe_store, probe_call
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
    static probe_called: u8;
    static probe_call_failed: u8;
    static probe_failed: u8;
}

/// The shortest function: `jr $ra`, and `nop` in its delay slot, in the kernel's byte order.
pub const RETURN: &[u8] = {
    const JR_RA: [u8; 4] = 0x03e0_0008_u32.to_ne_bytes();
    &[JR_RA[0], JR_RA[1], JR_RA[2], JR_RA[3], 0, 0, 0, 0]
};

/// Makes the processor fetch bytes that were just written at an address, where it can be read.
pub(crate) fn fetch_anew(address: usize) {
    if crate::probe_read(address).is_ok() {
        // SAFETY: the address can be read, so the instruction does not fault; it only makes the
        // processor fetch the bytes that are in memory.
        unsafe { asm!("synci 0({})", "sync", in(reg) address, options(nostack)) };
    }
}

/// Lets a probe that faulted return; says whether the fault was a probe's.
pub(super) fn recover(frame: &mut TrapFrame, fault: Fault) -> bool {
    let recovery = match touch(&fault) {
        Touch::Data => &raw const probe_failed,
        Touch::Fetch if called_by_probe(frame) => &raw const probe_call_failed,
        _ => return false,
    };
    frame.epc = recovery.addr();
    keep(fault);
    true
}

/// Whether the code that faulted was just called by `probe_call`: its return address tells.
fn called_by_probe(frame: &TrapFrame) -> bool {
    frame.return_address() == (&raw const probe_called).addr()
}
