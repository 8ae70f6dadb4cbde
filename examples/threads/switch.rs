//! From one stack to another.

use core::arch::global_asm;
use core::ptr::NonNull;

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
    pub(crate) unsafe fn switch_stacks(left: *mut usize, next: usize);
}

/// Registers that the switch takes from the stack before it returns.
const REGISTERS: usize = 6;

/// Makes the frame from which a switch enters `begin`, at the high end of the stack. Returns the
/// stack pointer.
pub(crate) fn first_frame(stack: NonNull<[u8]>, begin: extern "C" fn() -> !) -> usize {
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
