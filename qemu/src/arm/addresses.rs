//! Places in the address space that tests go to.

use archipelago::Window;

use super::FRAME_BYTES;
use crate::windows::BYTES_UNDER_TEST;

const PAGE: usize = FRAME_BYTES;

/// Where TTBR1 begins to translate.
const UPPER_HALF: usize = 0x8000_0000;

/// A page at which a last-level table begins. Nothing is mapped at it, nor within 64 KiB of it, and
/// the kernel does not use it.
pub const FREE_PAGE: usize = 0xf400_0000;

/// Addresses that nothing is mapped at: the first one and the last one, where the tables of TTBR0
/// and TTBR1 meet, and below RAM.
pub const NOT_MAPPED: &[usize] = &[
    0,
    0x3fff_f000,
    UPPER_HALF - 1,
    UPPER_HALF,
    FREE_PAGE,
    usize::MAX,
];

/// Numbers that are no addresses: there are none.
pub const NOT_ADDRESSES: &[usize] = &[];

/// Numbers that no window can hold: there are none.
pub const BEYOND: &[usize] = &[];

/// Ranges that hold something of the kernel's: RAM, its image, and devices.
pub const OCCUPIED: &[Window] = &[
    Window::new(0x4000_0000, 1 << 20),
    Window::new(0x4020_0000, 4 << 20),
    Window::new(0x0900_0000, 1 << 20),
];

/// Windows that a heap can have besides its first: at both ends of the address space, and below
/// where its halves meet.
pub const MORE_WINDOWS: &[Window] = &[
    Window::new(0x1000, 1 << 20),
    Window::new(UPPER_HALF - (1 << 20), 1 << 20),
    Window::new(0_usize.wrapping_sub(1 << 20), 1 << 20),
];

/// A window up to the top of the address space.
pub const TOP_WINDOW: Window = Window::new(0_usize.wrapping_sub(8 << 20), 8 << 20);

/// A window from address 0 on.
pub const BOTTOM_WINDOW: Window = Window::new(0, 4 << 20);

/// Where the contract is tested: the test's name, and where [`BYTES_UNDER_TEST`] of address space
/// begin that nothing is mapped in.
pub const WINDOWS_UNDER_TEST: &[(&str, usize)] = &[
    ("the contract holds next to the granule at address 0", PAGE),
    (
        "the contract holds over the end of a table of 1 MiB",
        0x2010_0000 - 5 * PAGE,
    ),
    (
        "the contract holds over the end of the four tables of a frame",
        0x2040_0000 - 9 * PAGE,
    ),
    (
        "the contract holds over the end of what TTBR0 translates",
        UPPER_HALF - 7 * PAGE,
    ),
    (
        "the contract holds from where TTBR1 translates on",
        UPPER_HALF,
    ),
    (
        "the contract holds up to the top of the address space",
        0_usize.wrapping_sub(BYTES_UNDER_TEST),
    ),
];

/// Whether the kernel's code cannot be written.
pub const CODE_IS_READ_ONLY: bool = true;

/// Whether pages can be had that cannot be executed.
pub const HAS_EXECUTE_NEVER: bool = true;

/// Whether user programs can touch the kernel's pages.
pub const USER_CAN_TOUCH: bool = false;
