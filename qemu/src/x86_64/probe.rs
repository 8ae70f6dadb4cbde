//! The instructions of the probes, each at a known address, and how one that faults returns.

use core::arch::global_asm;

use super::frame::TrapFrame;
use crate::fault::Fault;
use crate::probe::{Touch, keep, touch};

global_asm!(
    r#"
    .text
    .global probe_load, probe_store, probe_call
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
    static probe_called: u8;
    static probe_call_failed: u8;
    static probe_failed: u8;
}

/// The code of a function that returns.
pub const RETURN: &[u8] = &[0xc3];

/// Makes the processor fetch bytes that were just written: this one does so by itself.
pub(crate) fn fetch_anew(_: usize) {}

/// Lets a probe that faulted return; says whether the fault was a probe's.
pub(super) fn recover(frame: &mut TrapFrame, fault: Fault) -> bool {
    let recovery = match touch(&fault) {
        Touch::Data => &raw const probe_failed,
        Touch::Fetch if called_by_probe(frame) => {
            frame.rsp += 8;
            &raw const probe_call_failed
        }
        _ => return false,
    };
    frame.rip = recovery.addr() as u64;
    keep(fault);
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
