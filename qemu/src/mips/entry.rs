//! From the machine's reset state to Rust, and from its exceptions.
//!
//! The firmware that QEMU loads with a kernel jumps to `boot_entry` in kseg0 with the number of
//! bytes of memory in `$a3`, as YAMON does. Code and data lie in kseg0, which no page table can
//! take away; the stack is mapped by a TLB entry that is never replaced, so that exceptions can
//! always be taken. An exception that finds it used up takes the spare stack.
//!
//! The processor enters exceptions at fixed places: a TLB refill at 0x8000_0000, where the linker
//! script puts the heap machine's handler, and everything else, interrupts included, at
//! 0x8000_0180.
//!
//! # Source
//! MIPS32 Architecture For Programmers, volume III (MD00090), "Exception Vector Locations" and
//! "Exceptions"; MIPS YAMON User's Manual (MD00008) for the state at entry.

use core::arch::global_asm;

use super::boot;
use super::frame::TrapFrame;
use super::stack::{SPARE, STACK, STACK_BYTES};
use super::trap;

global_asm!(
    r#"
    .section .boot, "ax", @progbits
    .set push
    .set mips32r2
    .set noreorder
    .set noat
    .global boot_entry
boot_entry:
    mtc0    $zero, $12              // Status: kernel mode, interrupts masked, vectors in memory
    ehb
    mtc0    $zero, $13              // Cause: no software interrupt, vectors as above
    mtc0    $zero, $5               // PageMask: pages of 4 KiB

    // Empties every entry of the TLB. Each gets an address of its own that is never translated:
    // two entries for one address are a machine check.
    mfc0    $t0, $16, 1             // Config1: the last entry's number in bits 25 to 30
    srl     $t0, $t0, 25
    andi    $t0, $t0, 0x3f
    lui     $t1, 0x8000
    mtc0    $zero, $2               // EntryLo0
    mtc0    $zero, $3               // EntryLo1
1:  sll     $t2, $t0, 13
    addu    $t2, $t2, $t1
    mtc0    $t2, $10                // EntryHi
    mtc0    $t0, $0                 // Index
    ehb
    tlbwi
    bnez    $t0, 1b
    addiu   $t0, $t0, -1

    // The stack is entry 0, which is wired: two pages of 64 KiB.
    li      $t0, 0x1e000
    mtc0    $t0, $5                 // PageMask
    la      $t0, stack_start
    sll     $t0, $t0, 3             // the physical address, and from it the frame's number
    srl     $t0, $t0, 9
    ori     $t0, $t0, 0x1f          // cached, writable, valid, global
    mtc0    $t0, $2
    addiu   $t0, $t0, 0x10000 >> 6
    mtc0    $t0, $3
    lui     $t0, {STACK} >> 16
    mtc0    $t0, $10
    mtc0    $zero, $0
    ehb
    tlbwi
    mtc0    $zero, $5
    li      $t0, 1
    mtc0    $t0, $6                 // Wired
    mtc0    $zero, $10              // the address space: number 0
    ehb
    lui     $sp, ({STACK} + {STACK_BYTES}) >> 16
    addiu   $sp, $sp, -{ARGUMENTS}
    move    $ra, $zero
    la      $t9, {start}
    jr      $t9                     // (bytes of memory)
    move    $a0, $a3

    .section .vectors.general, "ax", @progbits
    .global general_vector
general_vector:
    la      $k0, trap_entry
    jr      $k0
    nop

    .section .text.trap_entry, "ax", @progbits
    .global trap_entry
trap_entry:
    lui     $k0, {STACK} >> 16
    subu    $k0, $sp, $k0
    addiu   $k0, $k0, -({FRAME} + {ARGUMENTS})
    srl     $k0, $k0, {STACK_SHIFT} // 0 where the frame has room on the stack
    beqz    $k0, 1f
    move    $k0, $sp
    la      $sp, {SPARE} + {SPARE_BYTES}
1:  addiu   $sp, $sp, -({FRAME} + {ARGUMENTS})
    sw      $at, {ARGUMENTS} + 4 * 1($sp)
    .irp    number, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    sw      $\number, {ARGUMENTS} + 4 * \number($sp)
    .endr
    .irp    number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 30, 31
    sw      $\number, {ARGUMENTS} + 4 * \number($sp)
    .endr
    sw      $k0, {ARGUMENTS} + 4 * 29($sp)
    mfhi    $t0
    mflo    $t1
    sw      $t0, {ARGUMENTS} + {HI}($sp)
    sw      $t1, {ARGUMENTS} + {LO}($sp)
    mfc0    $t0, $12                // Status
    mfc0    $t1, $13                // Cause
    mfc0    $t2, $14                // EPC
    mfc0    $t3, $8                 // BadVAddr
    sw      $t0, {ARGUMENTS} + {STATUS}($sp)
    sw      $t1, {ARGUMENTS} + {CAUSE}($sp)
    sw      $t2, {ARGUMENTS} + {EPC}($sp)
    sw      $t3, {ARGUMENTS} + {BAD_ADDRESS}($sp)
    // Out of the exception level, interrupts masked: from here on mapped memory can be touched.
    ins     $t0, $zero, 0, 5
    mtc0    $t0, $12
    ehb
    jal     {handle}
    addiu   $a0, $sp, {ARGUMENTS}

    // Back into the exception level, which the saved Status has, for the registers that it keeps.
    lw      $t0, {ARGUMENTS} + {STATUS}($sp)
    mtc0    $t0, $12
    ehb
    lw      $t0, {ARGUMENTS} + {EPC}($sp)
    mtc0    $t0, $14
    lw      $t0, {ARGUMENTS} + {HI}($sp)
    lw      $t1, {ARGUMENTS} + {LO}($sp)
    mthi    $t0
    mtlo    $t1
    lw      $at, {ARGUMENTS} + 4 * 1($sp)
    .irp    number, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    lw      $\number, {ARGUMENTS} + 4 * \number($sp)
    .endr
    .irp    number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 30, 31
    lw      $\number, {ARGUMENTS} + 4 * \number($sp)
    .endr
    lw      $sp, {ARGUMENTS} + 4 * 29($sp)
    ehb
    eret
    .set pop
    .text
    "#,
    start = sym boot::start,
    handle = sym trap::handle,
    STACK = const STACK,
    STACK_BYTES = const STACK_BYTES,
    STACK_SHIFT = const STACK_BYTES.trailing_zeros(),
    SPARE = sym SPARE,
    SPARE_BYTES = const size_of_val(&SPARE),
    FRAME = const size_of::<TrapFrame>(),
    // Bytes in which a function of the C calling convention may keep its register arguments.
    ARGUMENTS = const 16,
    HI = const core::mem::offset_of!(TrapFrame, hi),
    LO = const core::mem::offset_of!(TrapFrame, lo),
    STATUS = const core::mem::offset_of!(TrapFrame, status),
    CAUSE = const core::mem::offset_of!(TrapFrame, cause),
    EPC = const core::mem::offset_of!(TrapFrame, epc),
    BAD_ADDRESS = const core::mem::offset_of!(TrapFrame, bad_address),
);
