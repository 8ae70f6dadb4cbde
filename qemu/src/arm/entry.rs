//! From the machine's reset state to Rust: the first page tables, the MMU, a stack.
//!
//! QEMU jumps to `entry` in supervisor mode with interrupts masked and the MMU off. The first page
//! tables are data of the image: sections of 1 MiB at their own addresses, for the devices and for
//! the 1 GiB in which RAM starts; the image's own are executable until [`super::paging`] maps it
//! page by page. Another CPU comes to `other_cpu_entry` in the same state, and takes the tables as
//! they are then. TTBR0 translates the lower half of the address space, and TTBR1 the upper one,
//! which is empty.
//!
//! # Source
//! ARM Architecture Reference Manual, ARMv7-A and ARMv7-R edition (DDI 0406C): B3.5.1 (sections),
//! B3.5.4 (choosing between TTBR0 and TTBR1), B4.1.130 (SCTLR), B4.1.154 (TTBR0 with the
//! Multiprocessing Extensions).

use core::arch::global_asm;

use crate::cpus::MOST_CPUS;

global_asm!(
    r#"
    .section .text.entry, "ax", %progbits
    .arm
    .global entry, other_cpu_entry
entry:
    mov r0, #0
other_cpu_entry:                // r0: the end of its stack, or 0
    cpsid aif, #0x13            // supervisor mode
    mov r4, r0
    mov r0, #0
    mcr p15, 0, r0, c8, c7, 0   // TLBIALL
    mcr p15, 0, r0, c7, c5, 0   // ICIALLU
    mcr p15, 0, r0, c7, c5, 6   // BPIALL
    mov r0, #1
    mcr p15, 0, r0, c2, c0, 2   // TTBCR.N = 1: two halves
    mcr p15, 0, r0, c3, c0, 0   // DACR: domain 0 is checked, the others give no access
    movw r0, #:lower16:first_level_lower
    movt r0, #:upper16:first_level_lower
    orr r0, r0, #{walks}
    mcr p15, 0, r0, c2, c0, 0   // TTBR0
    movw r0, #:lower16:first_level_upper
    movt r0, #:upper16:first_level_upper
    orr r0, r0, #{walks}
    mcr p15, 0, r0, c2, c0, 1   // TTBR1
    movw r0, #:lower16:vectors
    movt r0, #:upper16:vectors
    mcr p15, 0, r0, c12, c0, 0  // VBAR
    dsb
    isb
    mrc p15, 0, r0, c1, c0, 0   // SCTLR
    bic r0, r0, #(1 << 1)       // A: unaligned accesses are allowed
    bic r0, r0, #(1 << 13)      // V: vectors at VBAR
    bic r0, r0, #(1 << 28)      // TRE: attributes are in the descriptors
    bic r0, r0, #(1 << 29)      // AFE: so is the whole of AP
    bic r0, r0, #(1 << 30)      // TE: exceptions in ARM state
    orr r0, r0, #(1 << 0)       // M: the MMU
    orr r0, r0, #(1 << 2)       // C: data caches
    orr r0, r0, #(1 << 11)      // Z: branch prediction
    orr r0, r0, #(1 << 12)      // I: instruction caches
    mcr p15, 0, r0, c1, c0, 0
    isb

    mrc p15, 0, r0, c0, c0, 5   // MPIDR, the CPU's number in the low byte
    and r0, r0, #0xff
    movw r1, #:lower16:abort_stacks_end
    movt r1, #:upper16:abort_stacks_end
    cps #0x17                   // abort mode, for exceptions that may come from a full stack
    sub sp, r1, r0, lsl #14
    cps #0x13
    mov r11, #0
    cmp r4, #0
    bne other_cpu
    movw sp, #:lower16:stack_end
    movt sp, #:upper16:stack_end
    bl {start}
    udf #0
other_cpu:
    mov sp, r4
    bl {begin}
    udf #0

    .section .bss.stacks, "aw", %nobits
    .balign 8
    .skip 16384 * {most_cpus}
abort_stacks_end:

    .section .bss.tables, "aw", %nobits
    .balign 16384
    .global first_level_upper
first_level_upper:
    .skip 4096 * 4

    // A section: its address, not executed outside of the image, read-write for the kernel.
    .section .data.tables, "aw", %progbits
    .balign 8192
    .global first_level_lower
first_level_lower:
    .set megabyte, 0
    .rept 2048
    .if megabyte >= 0x402 && megabyte < 0x406
    .long megabyte << 20 | {memory}
    .elseif megabyte >= 0x400
    .long megabyte << 20 | {memory} | {execute_never}
    .elseif megabyte >= 0x080 && megabyte < 0x0a0
    .long megabyte << 20 | {device} | {execute_never}
    .else
    .long 0
    .endif
    .set megabyte, megabyte + 1
    .endr
    .text
    "#,
    start = sym super::start,
    begin = sym super::other_cpus::begin,
    most_cpus = const MOST_CPUS,
    // Walks are cacheable, write-back and write-allocate, and shareable.
    walks = const 0x6a,
    // Normal memory, write-back and write-allocate (TEX = 1, C, B), shareable, AP = 1.
    memory = const 0b10 | 1 << 2 | 1 << 3 | 1 << 10 | 1 << 12 | 1 << 16,
    // Device memory (TEX = 0, B), AP = 1.
    device = const 0b10 | 1 << 2 | 1 << 10,
    execute_never = const 1 << 4,
);
