//! From one thread to another: its stack, and its number.

use core::arch::{asm, global_asm};
use core::ptr::NonNull;

/// The number of the thread that runs, as [`set_current_thread`] set it on this CPU. TPIDRPRW holds
/// it, which kernels use for nothing else, so that it changes with the thread wherever that goes
/// on.
#[inline]
#[must_use]
pub fn current_thread() -> usize {
    let number;
    // SAFETY: reading it changes nothing. Without `nomem`: threads are switched in between.
    unsafe {
        asm!("mrc p15, 0, {}, c13, c0, 4", out(reg) number, options(nostack, preserves_flags));
    };
    number
}

/// Notes which thread runs on this CPU from now on. At its start a CPU runs the thread of its own
/// number.
#[inline]
pub fn set_current_thread(number: usize) {
    // SAFETY: the register means nothing to the processor.
    unsafe {
        asm!("mcr p15, 0, {}, c13, c0, 4", in(reg) number, options(nostack, preserves_flags));
    };
}

global_asm!(
    "
    .text
    .arm
    .global switch_stacks
switch_stacks:
    push {{r3-r11, lr}}         // r3 keeps the stack aligned to 8 bytes
    str sp, [r0]
    mov sp, r1
    clrex                       // the other thread's exclusive access begins anew
    pop {{r3-r11, pc}}
    "
);

unsafe extern "C" {
    /// Pushes the registers that a call preserves, writes the stack pointer to `left`, and goes on
    /// where `next` was left.
    ///
    /// # Safety
    /// - `left` can be written.
    /// - `next` was written by this function or made by [`first_frame`], and is used once.
    /// - Nothing switches stacks meanwhile.
    pub unsafe fn switch_stacks(left: *mut usize, next: usize);
}

/// Registers that the switch takes from the stack before the program counter.
const REGISTERS: usize = 9;

/// Makes the frame from which a switch enters `begin`, at the high end of the stack. Returns the
/// stack pointer.
#[must_use]
pub fn first_frame(stack: NonNull<[u8]>, begin: extern "C" fn() -> !) -> usize {
    let words = stack.len() / size_of::<usize>();
    let first: *mut usize = stack.as_ptr().cast();
    let entry = words - 1;
    for index in entry - REGISTERS..words {
        let word = if index == entry { begin as usize } else { 0 };
        // SAFETY: the index lies inside the stack.
        let place = unsafe { first.add(index) };
        // SAFETY: the stack is writable, and nothing else uses it.
        unsafe { place.write(word) };
    }
    first.wrapping_add(entry - REGISTERS).addr()
}
