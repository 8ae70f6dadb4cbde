//! Code that the programs share: RAM, work for the heap, and a panic handler.
#![no_std]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;

#[cfg(target_arch = "arm")]
use cortex_m as _;
#[cfg(target_arch = "riscv32")]
use riscv as _;

/// Bytes of memory for the heap.
pub const RAM_BYTES: usize = 64 << 10;

/// Memory that a program gives its heap.
#[derive(Debug)]
#[repr(align(1024))]
pub struct Ram(UnsafeCell<[u8; RAM_BYTES]>);

// SAFETY: only the heap reads and writes the bytes.
unsafe impl Sync for Ram {}

/// The memory of the program's heap.
pub static RAM: Ram = Ram(UnsafeCell::new([0; RAM_BYTES]));

impl Ram {
    /// The address of the first byte.
    pub const fn start(&self) -> *mut u8 {
        self.0.get().cast()
    }
}

/// Makes the heap allocate, grow, shrink and free.
#[must_use]
pub fn work(seed: u32) -> u32 {
    let numbers: Vec<u32> = (0..seed).collect();
    let squares: BTreeMap<u32, u32> = numbers.iter().map(|n| (*n, n.wrapping_mul(*n))).collect();
    squares
        .values()
        .fold(0, |sum, square| sum.wrapping_add(*square))
}

/// Loops forever.
pub fn halt() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    halt()
}
