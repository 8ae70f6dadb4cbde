//! Exceptions, the one software interrupt and the timer, from the processor to Rust.

use core::arch::asm;

use super::fault::Cause;
use super::frame::TrapFrame;
use super::{interrupts, probe, stack};
use crate::handlers;
use crate::report::stop;

/// Cause.BD: the instruction is in the delay slot of the branch at `epc`.
const IN_DELAY_SLOT: usize = 1 << 31;

/// Bytes of an instruction.
const INSTRUCTION: usize = 4;

/// Interrupts the running code, as a device would: the handler runs with interrupts masked, on the
/// stack of the interrupted code, which then continues.
pub fn raise_interrupt() {
    // SAFETY: the general vector saves and restores every register, and the handler steps over the
    // instruction. The `nop` keeps it out of delay slots.
    unsafe { asm!(".set noreorder", "nop", "syscall", "nop", ".set reorder") };
}

pub(super) extern "C" fn handle(frame: &mut TrapFrame) {
    let [.., code] = (frame.cause >> 2 & 0x1f).to_be_bytes();
    let cause = Cause(code);
    let in_delay_slot = frame.cause & IN_DELAY_SLOT != 0;
    if cause == Cause::INTERRUPT && interrupts::timer_is_due(frame.cause) {
        if let Some(handler) = handlers::timer() {
            handler();
        }
        return interrupts::restart_timer();
    }
    if cause == Cause::SYSTEM_CALL && !in_delay_slot {
        if let Some(handler) = handlers::interrupt() {
            frame.epc += INSTRUCTION;
            return handler();
        }
    }
    let instruction = frame.epc + usize::from(in_delay_slot) * INSTRUCTION;
    let fault = cause.fault(frame.bad_address, instruction);
    if probe::recover(frame, fault) {
        return;
    }
    if fault.address.is_some_and(stack::is_below) {
        stop(format_args!("the stack is used up: {fault}"));
    }
    stop(format_args!("{fault}"));
}
