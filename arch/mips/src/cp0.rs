//! The registers of the system control coprocessor that the machine uses.

use core::arch::asm;

/// Reads a register: `read!(12)`, or `read!(16, 1)` with a selector.
macro_rules! read {
    ($register:literal $(, $select:literal)?) => {{
        let value: usize;
        // SAFETY: the caller runs in kernel mode, where reading the register changes nothing.
        unsafe {
            core::arch::asm!(
                ".set noat",
                concat!("mfc0 {}, $", $register $(, ", ", $select)?),
                out(reg) value,
                options(nomem, nostack, preserves_flags),
            );
        }
        value
    }};
}
pub(crate) use read;

/// Status.IE, with the bits that mask interrupts whatever it says: EXL and ERL.
const ENABLED: usize = 1 << 0;
const LEVELS: usize = 1 << 1 | 1 << 2;

/// Whether interrupts are enabled.
pub(crate) fn interrupts_enabled() -> bool {
    read!(12) & (ENABLED | LEVELS) == ENABLED
}

/// Masks interrupts and says whether they were enabled.
pub(crate) fn disable_interrupts() -> bool {
    let status: usize;
    // `ehb` because `di` takes effect only once its hazard is cleared. The block counts as an
    // access to memory, so the accesses that must not be interrupted stay after it.
    // SAFETY: a kernel may mask interrupts.
    unsafe {
        asm!(".set noat", "di {}", "ehb", out(reg) status, options(nostack, preserves_flags))
    };
    status & (ENABLED | LEVELS) == ENABLED
}

/// Enables interrupts.
pub(crate) fn enable_interrupts() {
    // The block counts as an access to memory, so the accesses that must not be interrupted stay
    // before it.
    // SAFETY: the caller found interrupts enabled before, so there are handlers for them.
    unsafe { asm!("ei", "ehb", options(nostack, preserves_flags)) };
}
