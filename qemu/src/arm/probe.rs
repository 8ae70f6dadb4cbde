//! The instructions of the probes, each at a known address, and how one that faults returns.

use core::arch::{asm, global_asm};

use super::frame::TrapFrame;
use crate::fault::Fault;
use crate::probe::{Touch, keep, touch};

global_asm!(
    r#"
    .text
    .arm
    .global probe_load, probe_store, probe_call
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
    static probe_called: u8;
    static probe_call_failed: u8;
    static probe_failed: u8;
}

/// The code of a function that returns: `bx lr`.
pub const RETURN: &[u8] = &[0x1e, 0xff, 0x2f, 0xe1];

/// Makes the processor fetch bytes that were just written. The data caches need no cleaning: QEMU's
/// CPU has none.
pub(crate) fn fetch_anew(_: usize) {
    // SAFETY: ICIALLU only drops instruction caches, whose contents are in memory.
    unsafe {
        asm!("dsb", "mcr p15, 0, {0}, c7, c5, 0", "mcr p15, 0, {0}, c7, c5, 6", "dsb", "isb", in(reg) 0)
    };
}

/// Lets a probe that faulted return; says whether the fault was a probe's.
pub(super) fn recover(frame: &mut TrapFrame, fault: Fault) -> bool {
    let recovery = match touch(&fault) {
        Touch::Data => &raw const probe_failed,
        Touch::Fetch if frame.link == word(&raw const probe_called) => &raw const probe_call_failed,
        _ => return false,
    };
    frame.pc = word(recovery);
    keep(fault);
    true
}

fn word(address: *const u8) -> u32 {
    u32::try_from(address.addr()).expect("words have 32 bits")
}
