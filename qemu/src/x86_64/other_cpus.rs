//! The other CPUs: from the reset state of each to Rust, its end, and interrupts between CPUs.
//!
//! A CPU that is started runs in real mode, at an address below 1 MiB. A stub goes there, which
//! joins the entry code of the first CPU. The tables with which the entry code switches to paging
//! are a copy of the first ones that still has the identity mapping; then the CPU takes the
//! kernel's.

use core::arch::{asm, global_asm};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_x86_64::CpuId;
use spin::Once;
use x86_64::instructions::interrupts;

use super::interrupts::enable_interrupts;
use super::paging::physmap;
use super::{apic, descriptors, switch};
use crate::{cpus, handlers};

/// The vector with which CPUs interrupt each other.
pub(super) const VECTOR: u8 = 33;

/// Where the stub goes: a page of memory that kernels leave to this.
const STUB: u32 = 0x8000;

global_asm!(
    r#"
    .section .boot.text, "ax", @progbits
    .code16
    .global other_cpu_stub, other_cpu_stub_end
    .balign 4
other_cpu_stub:
    jmp other_cpu_begin
    .balign 4
    .word 4 * 8 - 1             // the limit of its four entries
    .long boot_gdt
other_cpu_begin:
    cli
    mov ax, cs
    mov ds, ax
    .byte 0x66, 0x0f, 0x01, 0x16 // lgdt, 32 bits of base, out of the stub's bytes 4 to 9
    .word 4
    mov eax, cr0
    or eax, 1                   // protected mode
    mov cr0, eax
    .byte 0x66, 0xea            // a far jump into the 32-bit code segment
    .long other_cpu_entry
    .word 24
other_cpu_stub_end:

    .text
    .code64
    .global other_cpu_start
other_cpu_start:
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
    static other_cpu_stub: u8;
    static other_cpu_stub_end: u8;
}

/// The high end of the stack of the CPU that is being started, for the entry code.
static STACK_END: AtomicUsize = AtomicUsize::new(0);

/// Starts another CPU: it runs `main` on `stack`, with interrupts enabled, as they are on the first
/// CPU from now on. CPUs take interrupts from each other, which run what
/// [`on_other_cpu`](crate::on_other_cpu) was given. CPUs are started one after the other, all by
/// the first one. The timer that [`start_timer`](crate::start_timer) starts must not run.
///
/// A double fault there resets the machine, since the CPU has no stack for such.
///
/// # Panics
/// If the CPU is on already, or does not start.
pub fn start_cpu(cpu: CpuId, stack: NonNull<[u8]>, main: fn() -> !) {
    static FIRST: Once = Once::new();

    FIRST.call_once(|| {
        place_stub();
        apic::turn_on();
        enable_interrupts();
    });
    cpus::start(cpu, main, || {
        let end = stack.as_ptr().cast::<u8>().addr() + stack.len();
        STACK_END.store(end & !15, Ordering::Release);
        apic::start(cpu, STUB);
        true
    });
}

/// Whether a CPU is on: the first one is, and others are from their start to their end.
#[must_use]
pub fn is_cpu_on(cpu: CpuId) -> bool {
    cpu.0 == 0 || cpus::has_arrived(cpu).load(Ordering::Acquire)
}

/// Ends what this CPU does, for good or until it is started again: it is off from then on, and uses
/// neither its stack nor anything else.
///
/// # Panics
/// If this is the first CPU.
pub fn stop_this_cpu() -> ! {
    let cpu = apic::current_cpu();
    assert!(cpu.0 != 0, "the first CPU stays on");
    interrupts::disable();
    // SAFETY: the store is to a static, and the loop uses no memory at all.
    unsafe {
        asm!(
            "mov byte ptr [{has_arrived}], 0",
            "2: cli",
            "hlt",
            "jmp 2b",
            has_arrived = in(reg) cpus::has_arrived(cpu).as_ptr(),
            options(noreturn),
        );
    }
}

/// Copies the stub, which lies beside the entry code, to where the CPU begins.
fn place_stub() {
    let (first, end) = (&raw const other_cpu_stub, &raw const other_cpu_stub_end);
    let from = physmap(first.addr() as u64).cast_const();
    let to = physmap(STUB.into());
    // SAFETY:
    // - the symbols are physical addresses in the image, which the physmap maps;
    // - the first MiB is left to this, and the physmap maps it, too.
    unsafe { to.copy_from_nonoverlapping(from, end.addr() - first.addr()) };
}

/// The first function of another CPU, on its stack and with interrupts masked.
extern "C" fn begin() -> ! {
    let (cpu, main) = cpus::this_start();
    apic::set_current_cpu(cpu);
    switch::set_current_thread(cpu.0.into());
    descriptors::load_again();
    apic::turn_on();
    cpus::has_arrived(cpu).store(true, Ordering::Release);
    interrupts::enable();
    main()
}

/// Interrupts the other CPUs, which run what [`on_other_cpu`](crate::on_other_cpu) was given.
pub fn interrupt_other_cpus() {
    apic::interrupt_others(VECTOR);
}

/// Runs the handler of an interrupt from another CPU, with interrupts masked.
pub(super) fn handle() {
    apic::end();
    if let Some(handler) = handlers::other_cpu() {
        handler();
    }
}
