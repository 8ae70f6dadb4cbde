//! The registers of the system control coprocessor that the kernels use.

use core::arch::asm;

/// Makes a function that reads a register.
macro_rules! reads {
    ($(#[$about:meta])* $number:literal $read:ident) => {
        $(#[$about])*
        #[inline]
        pub(super) fn $read() -> u32 {
            let value;
            // SAFETY: the kernels run in kernel mode, where the register can be read, which changes
            // nothing.
            unsafe {
                asm!(
                    ".set noat",
                    concat!("mfc0 {}, $", $number),
                    out(reg) value,
                    options(nostack, preserves_flags),
                );
            }
            value
        }
    };
}

/// Makes a function that writes a register.
macro_rules! writes {
    ($(#[$about:meta])* $number:literal $write:ident) => {
        $(#[$about])*
        #[inline]
        pub(super) unsafe fn $write(value: u32) {
            // SAFETY: the caller vouches for the effects of the value.
            unsafe {
                asm!(
                    ".set noat",
                    concat!("mtc0 {}, $", $number),
                    "ehb",
                    in(reg) value,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

reads!(
    /// Count: up by one every other cycle of the processor's clock.
    9 count
);
writes!(
    /// Compare: the timer's line is raised when Count gets there; writing lowers it.
    ///
    /// # Safety
    /// Where the line is unmasked, the general vector handles its interrupts.
    11 set_compare
);
reads!(
    /// Status: mode and interrupt masks.
    12 status
);
writes!(
    /// Status.
    ///
    /// # Safety
    /// The kernel can run in that mode, and has handlers for the interrupts that are unmasked.
    12 set_status
);
