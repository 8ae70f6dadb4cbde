//! The interrupt controller of each CPU, through which CPUs interrupt and start one another.
//!
//! # Source
//! Intel SDM volume 3, chapter 11 ("Advanced Programmable Interrupt Controller").

use archipelago_x86_64::CpuId;

use super::paging::physmap;

/// Where every CPU finds its own controller.
const BASE: u64 = 0xfee0_0000;

/// Registers, in bytes from the base.
const ID: u64 = 0x20;
const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const COMMAND: u64 = 0x300;

/// In [`SPURIOUS`]: the controller is on. The low byte is the vector of interrupts that went away
/// before they were taken.
const ON: u32 = 1 << 8;
const SPURIOUS_VECTOR: u32 = 47;

/// In [`COMMAND`]: the receivers, all CPUs but the one that writes, and the level, up.
const TO_OTHERS: u32 = 0b11 << 18 | 1 << 14;
/// The kinds of commands besides an interrupt of the vector in the low byte.
const INIT: u32 = 0b101 << 8;
const START: u32 = 0b110 << 8;

fn register(offset: u64) -> *mut u32 {
    physmap(BASE + offset).cast()
}

fn write(offset: u64, value: u32) {
    // SAFETY: every CPU since the Pentium has its controller there, and none of the values that
    // this file writes changes memory.
    unsafe { register(offset).write_volatile(value) };
}

/// The number of the CPU that this runs on.
#[must_use]
pub fn current_cpu() -> CpuId {
    // SAFETY: as in `write`; reading the number has no effect.
    let id = unsafe { register(ID).read_volatile() };
    CpuId((id >> 24) as u16)
}

/// Lets this CPU take interrupts from others.
pub(super) fn turn_on() {
    write(SPURIOUS, ON | SPURIOUS_VECTOR);
}

/// Ends an interrupt from another CPU.
pub(super) fn end() {
    write(END_OF_INTERRUPT, 0);
}

/// Interrupts all other CPUs, those included that were never started, which ignore it.
pub(super) fn interrupt_others(vector: u8) {
    write(COMMAND, TO_OTHERS | u32::from(vector));
}

/// Has all other CPUs begin at a physical address below 1 MiB, the first of a page, in real mode.
pub(super) fn start_others(address: u32) {
    write(COMMAND, TO_OTHERS | INIT);
    // Processors want to be left alone for 10 ms here, which QEMU's do not.
    write(COMMAND, TO_OTHERS | START | address >> 12);
}
