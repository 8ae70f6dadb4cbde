//! Exceptions, the one software interrupt, the timers and other CPUs, from the processor to Rust.
//!
//! The `x86-interrupt` calling convention is not stable, so every vector has a stub that brings
//! the stack to one shape, [`TrapFrame`], and enters [`handle`].

use core::arch::{asm, global_asm};

use x86_64::VirtAddr;
use x86_64::registers::control::Cr2;

use super::frame::TrapFrame;
use super::{apic, fault, interrupts, other_cpus, probe};
use crate::handlers;
use crate::report::stop;

/// The processor's exceptions, [`INTERRUPT`], and up to the first interrupt controller's last line.
pub(super) const VECTORS: usize = interrupts::TIMER_VECTOR as usize + 8;

/// The vector of [`raise_interrupt`].
const INTERRUPT: u64 = 32;

/// Bytes from one stub to the next.
const STUB_BYTES: usize = 16;

global_asm!(
    r#"
    .text
    .balign 16
trap_stubs:
    .set vector, 0
    .rept {vectors}
    .balign 16
    // The vectors for which the processor pushes an error code itself.
    .if !((vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30))
    push 0
    .endif
    push vector
    jmp trap_common
    .set vector, vector + 1
    .endr

trap_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    call {handle}
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq
    "#,
    handle = sym handle,
    vectors = const VECTORS,
);

unsafe extern "C" {
    /// The first stub.
    static trap_stubs: [u8; STUB_BYTES * VECTORS];
}

/// The address of a vector's stub.
pub(super) fn stub(vector: usize) -> VirtAddr {
    VirtAddr::from_ptr(&raw const trap_stubs) + (vector * STUB_BYTES) as u64
}

/// Interrupts the running code, as a device would: the handler runs with interrupts masked, on the
/// stack of the interrupted code, which then continues.
pub fn raise_interrupt() {
    // SAFETY: the vector's stub saves and restores every register.
    unsafe { asm!("int {vector}", vector = const INTERRUPT) };
}

extern "C" fn handle(frame: &mut TrapFrame) {
    if frame.vector == INTERRUPT {
        if let Some(handler) = handlers::interrupt() {
            return handler();
        }
    }
    if frame.vector == u64::from(other_cpus::VECTOR) {
        return other_cpus::handle();
    }
    if frame.vector == u64::from(apic::TIMER_VECTOR) {
        if let Some(handler) = handlers::timer() {
            // Before the handler, which may switch threads, and after it, on whatever CPU that is:
            // a handler that takes long leaves the code a period all the same.
            apic::end();
            apic::set_timer();
            handler();
            return apic::set_timer();
        }
    }
    if frame.vector == u64::from(apic::SPURIOUS_VECTOR) {
        return;
    }
    if frame.vector == u64::from(interrupts::TIMER_VECTOR) {
        if let Some(handler) = handlers::timer() {
            // Before the handler, which may switch threads. Interrupts are masked until it returns.
            interrupts::end_of_timer();
            return handler();
        }
    }
    let vector = u8::try_from(frame.vector).expect("a stub pushes a vector below 256");
    let word = |value: u64| usize::try_from(value).expect("addresses are words");
    let touched = if vector == fault::PAGE_FAULT {
        word(Cr2::read_raw())
    } else {
        0
    };
    let fault = fault::fault(vector, frame.error, touched, word(frame.rip));
    if !probe::recover(frame, fault) {
        stop(format_args!("{fault}"));
    }
}
