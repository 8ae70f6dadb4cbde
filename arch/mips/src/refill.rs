//! The TLB refill handler: 17 of the 32 instructions that its vector has room for.
//!
//! The handler takes two steps, without a branch: to the directory's slot for the address, and to
//! the pair of entries in that slot's table. A slot without a table links [`ABSENT`], whose pairs
//! are not valid; the access is carried out again, and then faults at the general vector, which
//! knows whether it was a load or a store.
//!
//! The handler uses `$k0` and `$k1` alone, and memory in kseg0 alone: the directory, which is part
//! of the kernel's image, and tables, whose frames lie in kseg0's reach. PageMask must be 0.
//!
//! # Source
//! MIPS32 Architecture For Programmers, volume III (MD00090), "TLB Initialization" and "CP0
//! Hazards": `ehb` between the writes of EntryLo and `tlbwr`, which reads them; `eret` clears the
//! hazard of `tlbwr` itself.
//!
//! [`ABSENT`]: crate::directory::ABSENT

use core::arch::global_asm;

use crate::directory::DIRECTORY;

global_asm!(
    r#"
    .section .archipelago.refill, "ax", @progbits
    .set    push
    .set    noreorder
    .set    noat
    .global archipelago_refill
archipelago_refill:
    mfc0    $k0, $8                     // BadVAddr
    lui     $k1, %hi({directory})
    srl     $k0, $k0, 22                // the slot: a table of 4 MiB
    sll     $k0, $k0, 2
    addu    $k1, $k1, $k0
    mfc0    $k0, $8
    lw      $k1, %lo({directory})($k1)
    srl     $k0, $k0, 10                // the pair: two pages, two words
    andi    $k0, $k0, 0xff8
    addu    $k1, $k1, $k0
    lw      $k0, 0($k1)
    lw      $k1, 4($k1)
    mtc0    $k0, $2                     // EntryLo0
    mtc0    $k1, $3                     // EntryLo1
    ehb
    tlbwr
    eret
    // The end of the vector. The assembler refuses to go back, so a handler that is longer than 32
    // instructions does not assemble.
    .org    archipelago_refill + 32 * 4
    .set    pop
    .text
    "#,
    directory = sym DIRECTORY,
);

unsafe extern "C" {
    /// The handler's first instruction.
    static archipelago_refill: u32;
}

/// The address of the handler. The linker script must put its section, `.archipelago.refill`, at
/// the processor's refill vector.
#[must_use]
pub fn refill_handler() -> *const u32 {
    &raw const archipelago_refill
}
