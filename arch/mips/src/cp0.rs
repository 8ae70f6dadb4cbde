//! The system control coprocessor's registers that the machine uses.

use core::arch::asm;

/// Reads a register: `read!(12)`, or `read!(16, 1)` with a selector.
macro_rules! read {
    ($register:literal $(, $select:literal)?) => {{
        let value: usize;
        // SAFETY: in kernel mode, which the caller runs in, the register can be read, which changes
        // nothing.
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
    // SAFETY: masking interrupts takes nothing from anybody. `ehb` because `di` takes effect only
    // once its hazard is cleared; the block counts as an access to memory, so that what shall not
    // be interrupted stays after it.
    unsafe {
        asm!(".set noat", "di {}", "ehb", out(reg) status, options(nostack, preserves_flags))
    };
    status & (ENABLED | LEVELS) == ENABLED
}

/// Enables interrupts.
pub(crate) fn enable_interrupts() {
    // SAFETY: the caller found them enabled before, so there are handlers for them. The block
    // counts as an access to memory, so that what shall not be interrupted stays before it.
    unsafe { asm!("ei", "ehb", options(nostack, preserves_flags)) };
}
