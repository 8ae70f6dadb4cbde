//! Places in the address space that tests go to: in kuseg, or with the feature `kseg2` in the
//! upper, mapped part of the kernel's half.

use archipelago::Window;

#[cfg_attr(feature = "kseg2", path = "addresses/kseg2.rs")]
#[cfg_attr(not(feature = "kseg2"), path = "addresses/kuseg.rs")]
mod segment;

pub(super) use segment::Segment;
pub use segment::{
    BEYOND, BOTTOM_WINDOW, FREE_PAGE, HEAP_WINDOW, MORE_WINDOWS, NOT_MAPPED, SECOND_WINDOW,
    TOP_WINDOW, USER_CAN_TOUCH, WINDOWS_UNDER_TEST,
};

/// As much of a window as there can be memory: what runs out first is frames.
const WINDOW_BYTES: usize = 256 << 20;

/// Ranges that hold something of the kernel's. It lies in kseg0, where no window can be.
pub const OCCUPIED: &[Window] = &[];

/// In kernel mode every number is an address.
pub const NOT_ADDRESSES: &[usize] = &[];

/// Whether the kernel's code cannot be written: it lies in memory that no table protects.
pub const CODE_IS_READ_ONLY: bool = false;

/// Whether pages can be had that cannot be executed: not on this processor.
pub const HAS_EXECUTE_NEVER: bool = false;
