//! Exceptions, supervisor calls and interrupts, from the processor to Rust.
//!
//! Aborts and undefined instructions are handled in abort mode, on a stack of their own: they may
//! come from a stack that is used up. Calls and interrupts are handled in supervisor mode, on the
//! stack of the interrupted code, so that handlers nest as functions do.

use core::arch::{asm, global_asm};

use super::fault::{self, Kind};
use super::frame::TrapFrame;
use super::{interrupts, probe};
use crate::handlers;
use crate::report::stop;

/// The number of the supervisor call of [`raise_interrupt`].
const INTERRUPT: u32 = 1;

global_asm!(
    r#"
    .text
    .arm
    .balign 32
    .global vectors
vectors:
    udf #0                      // reset, which does not come here
    b trap_undefined
    b trap_call
    b trap_prefetch
    b trap_data
    udf #0                      // hypervisor calls, of another mode
    b trap_interrupt
    b trap_fast_interrupt

    // Abort mode's stack gets the status, and below it the address of the instruction.
trap_undefined:
    sub lr, lr, #4
    srsdb sp!, #0x17
    cps #0x17
    push {{r0-r12}}
    mov r1, #{undefined}
    b trap_report
trap_prefetch:
    sub lr, lr, #4
    srsdb sp!, #0x17
    push {{r0-r12}}
    mov r1, #{prefetch}
    b trap_report
trap_data:
    sub lr, lr, #8
    srsdb sp!, #0x17
    push {{r0-r12}}
    mov r1, #{data}
    b trap_report
trap_fast_interrupt:
    sub lr, lr, #4
    srsdb sp!, #0x17
    cps #0x17
    push {{r0-r12}}
    mov r1, #{fast_interrupt}
trap_report:
    cps #0x13                   // all that runs runs in supervisor mode
    mov r2, lr
    cps #0x17
    push {{r2}}
    mov r0, sp
    bl {handle}
    add sp, sp, #4
    pop {{r0-r12}}
    rfeia sp!

trap_call:
    srsdb sp!, #0x13
    push {{r0-r3, r12, lr}}
    and r1, sp, #4              // functions have their stacks aligned to 8 bytes
    sub sp, sp, r1
    push {{r1, lr}}
    ldr r0, [lr, #-4]           // the instruction, with the number in it
    bl {call}
    pop {{r1, lr}}
    add sp, sp, r1
    pop {{r0-r3, r12, lr}}
    rfeia sp!

trap_interrupt:
    sub lr, lr, #4
    srsdb sp!, #0x13
    cps #0x13
    push {{r0-r3, r12, lr}}
    and r1, sp, #4
    sub sp, sp, r1
    push {{r1, lr}}
    bl {interrupt}
    pop {{r1, lr}}
    add sp, sp, r1
    pop {{r0-r3, r12, lr}}
    rfeia sp!
    "#,
    undefined = const UNDEFINED,
    prefetch = const PREFETCH,
    data = const DATA,
    fast_interrupt = const FAST_INTERRUPT,
    handle = sym handle,
    call = sym call,
    interrupt = sym interrupts::handle,
);

const UNDEFINED: u32 = 0;
const PREFETCH: u32 = 1;
const DATA: u32 = 2;
const FAST_INTERRUPT: u32 = 3;

/// Interrupts the running code, as a device would: the handler runs with interrupts masked, on the
/// stack of the interrupted code, which then continues.
pub fn raise_interrupt() {
    // SAFETY: the vector's code saves and restores every register but the link register, which the
    // call itself overwrites.
    unsafe { asm!("svc #{number}", number = const INTERRUPT, out("lr") _) };
}

extern "C" fn call(instruction: u32) {
    match (instruction & 0xff_ffff, handlers::interrupt()) {
        (INTERRUPT, Some(handler)) => handler(),
        (number, _) => stop(format_args!("unexpected supervisor call {number:#x}")),
    }
}

extern "C" fn handle(frame: &mut TrapFrame, vector: u32) {
    let (kind, (status, touched)) = match vector {
        DATA => (Kind::Data, data_fault()),
        PREFETCH => (Kind::Prefetch, prefetch_fault()),
        UNDEFINED => (Kind::Undefined, (0, 0)),
        _ => (Kind::FastInterrupt, (0, 0)),
    };
    let word = |value: u32| usize::try_from(value).expect("addresses are words");
    let fault = fault::fault(kind, status, word(touched), word(frame.pc));
    if !probe::recover(frame, fault) {
        stop(format_args!("{fault}"));
    }
}

/// DFSR and DFAR.
fn data_fault() -> (u32, u32) {
    let (status, address): (u32, u32);
    // SAFETY: reading it changes nothing.
    unsafe {
        asm!("mrc p15, 0, {}, c5, c0, 0", out(reg) status, options(nomem, nostack, preserves_flags))
    };
    // SAFETY: reading the register changes nothing.
    unsafe {
        asm!("mrc p15, 0, {}, c6, c0, 0", out(reg) address, options(nomem, nostack, preserves_flags))
    };
    (status, address)
}

/// IFSR and IFAR.
fn prefetch_fault() -> (u32, u32) {
    let (status, address): (u32, u32);
    // SAFETY: reading it changes nothing.
    unsafe {
        asm!("mrc p15, 0, {}, c5, c0, 1", out(reg) status, options(nomem, nostack, preserves_flags))
    };
    // SAFETY: reading the register changes nothing.
    unsafe {
        asm!("mrc p15, 0, {}, c6, c0, 2", out(reg) address, options(nomem, nostack, preserves_flags))
    };
    (status, address)
}
