//! A second CPU: from its reset state to Rust, and interrupts between the CPUs.
//!
//! A CPU that is started runs in real mode, at an address below 1 MiB. A stub goes there, which
//! joins the entry code of the first CPU. The tables with which the entry code switches to paging
//! are a copy of the first ones that still has the identity mapping; then the CPU takes the
//! kernel's.

use core::arch::global_asm;
use core::hint;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use spin::Once;

use super::interrupts::enable_interrupts;
use super::paging::physmap;
use super::{apic, descriptors};
use crate::handlers;

/// The vector with which CPUs interrupt each other.
pub(super) const VECTOR: u8 = 33;

/// Where the stub goes: a page of memory that kernels leave to this.
const STUB: u32 = 0x8000;

global_asm!(
    r#"
    .section .boot.text, "ax", @progbits
    .code16
    .global second_cpu_stub, second_cpu_stub_end
second_cpu_stub:
    jmp second_cpu_begin
    .balign 4
    .word 4 * 8 - 1             // the limit of its four entries
    .long boot_gdt
second_cpu_begin:
    cli
    mov ax, cs
    mov ds, ax
    .byte 0x66, 0x0f, 0x01, 0x16 // lgdt, 32 bits of base, out of the stub's bytes 4 to 9
    .word 4
    mov eax, cr0
    or eax, 1                   // protected mode
    mov cr0, eax
    .byte 0x66, 0xea            // a far jump into the 32-bit code segment
    .long second_cpu_entry
    .word 24
second_cpu_stub_end:

    .text
    .code64
    .global second_cpu_start
second_cpu_start:
    mov eax, offset boot_level_4 // the kernel's tables
    mov cr3, rax
    mov rsp, [rip + {stack}]
    xor ebp, ebp
    call {begin}
    ud2
    "#,
    stack = sym STACK_END,
    begin = sym begin,
);

unsafe extern "C" {
    static second_cpu_stub: u8;
    static second_cpu_stub_end: u8;
}

/// The high end of the second CPU's stack, for the entry code.
static STACK_END: AtomicUsize = AtomicUsize::new(0);

/// The first function of the second CPU.
static MAIN: Once<fn() -> !> = Once::new();

static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Turns of waiting after which there is no second CPU: seconds.
const TURNS: usize = 1 << 24;

/// Starts the second CPU: it runs `main` on `stack`, with interrupts enabled. Both CPUs take
/// interrupts from each other, which run what [`on_other_cpu`](crate::on_other_cpu) was given. The
/// one device that interrupts, the timer, must not have been started.
///
/// A double fault there resets the machine, since the CPU has no stack for such.
///
/// # Panics
/// If there is no second CPU, or it was started before.
pub fn start_second_cpu(stack: NonNull<[u8]>, main: fn() -> !) {
    assert!(!MAIN.is_completed(), "the second CPU is started once");
    MAIN.call_once(|| main);
    let end = stack.as_ptr().cast::<u8>().addr() + stack.len();
    STACK_END.store(end & !15, Ordering::Release);
    place_stub();
    apic::turn_on();
    enable_interrupts();
    apic::start_others(STUB);
    for _ in 0..TURNS {
        if IS_RUNNING.load(Ordering::Acquire) {
            return;
        }
        hint::spin_loop();
    }
    panic!("no second CPU has started: has QEMU the argument `-smp 2`?");
}

/// Copies the stub, which lies beside the entry code, to where the CPU begins.
fn place_stub() {
    let (first, end) = (&raw const second_cpu_stub, &raw const second_cpu_stub_end);
    let from = physmap(first.addr() as u64).cast_const();
    let to = physmap(STUB.into());
    // SAFETY:
    // - the symbols are physical addresses in the image, which the physmap maps;
    // - the first MiB is left to this, and the physmap maps it, too.
    unsafe { to.copy_from_nonoverlapping(from, end.addr() - first.addr()) };
}

/// The first function of the second CPU, on its stack and with interrupts masked.
extern "C" fn begin() -> ! {
    descriptors::load_again();
    apic::turn_on();
    IS_RUNNING.store(true, Ordering::Release);
    x86_64::instructions::interrupts::enable();
    let main = MAIN.get().expect("the CPU that started this one set it");
    main()
}

/// Interrupts the other CPU, which runs what [`on_other_cpu`](crate::on_other_cpu) was given.
pub fn interrupt_other_cpu() {
    apic::interrupt_others(VECTOR);
}

/// Runs the handler of an interrupt from the other CPU, with interrupts masked.
pub(super) fn handle() {
    apic::end();
    if let Some(handler) = handlers::other_cpu() {
        handler();
    }
}
