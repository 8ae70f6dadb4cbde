//! From one thread to another: its stack, and its number.

use core::arch::global_asm;
use core::ptr::NonNull;

use x86_64::VirtAddr;
use x86_64::registers::model_specific::FsBase;

/// The number of the thread that runs, as [`set_current_thread`] set it on this CPU. The base of
/// the segment `fs`, which kernels use for nothing else, holds it, so that it changes with the
/// thread wherever that goes on.
#[inline]
#[must_use]
pub fn current_thread() -> usize {
    usize::try_from(FsBase::read().as_u64()).expect("a thread's number is a word")
}

/// Notes which thread runs on this CPU from now on. At its start a CPU runs the thread of its own
/// number.
#[inline]
pub fn set_current_thread(number: usize) {
    FsBase::write(VirtAddr::new(number as u64));
}

global_asm!(
    "
    .text
    .global switch_stacks
switch_stacks:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi], rsp
    mov rsp, rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
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

/// Registers that the switch takes from the stack before it returns.
const REGISTERS: usize = 6;

/// Makes the frame from which a switch enters `begin`, at the high end of the stack. Returns the
/// stack pointer.
#[must_use]
pub fn first_frame(stack: NonNull<[u8]>, begin: extern "C" fn() -> !) -> usize {
    let words = stack.len() / size_of::<usize>();
    // One word stays free, so that `begin` finds the stack aligned as after a call.
    let entry = words - 2;
    let first: *mut usize = stack.as_ptr().cast();
    for index in entry - REGISTERS..words {
        let word = if index == entry { begin as usize } else { 0 };
        // SAFETY: the index lies inside the stack.
        let place = unsafe { first.add(index) };
        // SAFETY: the stack is writable, and nothing else uses it.
        unsafe { place.write(word) };
    }
    first.wrapping_add(entry - REGISTERS).addr()
}
