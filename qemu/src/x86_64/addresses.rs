//! Places in the address space that tests go to.

use archipelago::Window;

use super::FRAME_BYTES;
use crate::windows::BYTES_UNDER_TEST;

const PAGE: usize = FRAME_BYTES;

/// A page at which a last-level table begins. Nothing is mapped at it, nor within 64 KiB of it, and
/// the kernel does not use it.
pub const FREE_PAGE: usize = 0xffff_c000_0000_0000;

/// Addresses that nothing is mapped at: the first one and the last one, the last ones below the
/// hole and below the kernel, and where the entry code ran before the identity mapping went.
pub const NOT_MAPPED: &[usize] = &[
    0,
    0x10_0000,
    0x7fff_ffff_f000,
    FREE_PAGE,
    0xffff_ffff_7fff_f000,
    usize::MAX,
];

/// The first and the last number between the halves, which are not canonical.
pub const NOT_ADDRESSES: &[usize] = &[0x0000_8000_0000_0000, 0xffff_7fff_ffff_ffff];

/// Numbers that no window can hold.
pub const BEYOND: &[usize] = NOT_ADDRESSES;

/// Ranges that hold something of the kernel's: its image, and memory in the physmap.
pub const OCCUPIED: &[Window] = &[
    Window::new(0xffff_ffff_8010_0000, 4 << 20),
    Window::new(0xffff_a000_0000_0000, 4 << 20),
];

/// Windows that a heap can have besides its first: at both ends of the lower half, and at the top.
pub const MORE_WINDOWS: &[Window] = &[
    Window::new(0x1000, 1 << 20),
    Window::new(0x8000_0000_0000 - (1 << 20), 1 << 20),
    Window::new(0_usize.wrapping_sub(1 << 20), 1 << 20),
];

/// A window up to the top of the address space.
pub const TOP_WINDOW: Window = Window::new(0_usize.wrapping_sub(8 << 20), 8 << 20);

/// A window from address 0 on.
pub const BOTTOM_WINDOW: Window = Window::new(0, 4 << 20);

/// Where the contract is tested: the test's name, and where [`BYTES_UNDER_TEST`] of address space
/// begin that nothing is mapped in.
pub const WINDOWS_UNDER_TEST: &[(&str, usize)] = &[
    (
        "the contract holds at offset 0, where the upper half starts",
        0xffff_8000_0000_0000,
    ),
    ("the contract holds next to the granule at address 0", PAGE),
    (
        "the contract holds where the tutorials have their heap",
        0x4444_4444_0000,
    ),
    (
        "the contract holds over the end of a last-level table",
        0x4444_4460_0000 - 5 * PAGE,
    ),
    (
        "the contract holds over the end of a level-4 entry",
        0x4480_0000_0000 - 9 * PAGE,
    ),
    (
        "the contract holds up to the top of the lower half",
        0x8000_0000_0000 - BYTES_UNDER_TEST,
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
