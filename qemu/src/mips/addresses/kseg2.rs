//! Places in kseg2 and kseg3: the upper 1 GiB.

use archipelago::Window;
pub(in super::super) use archipelago_mips::Kseg23 as Segment;

use super::WINDOW_BYTES;
use crate::machine::FRAME_BYTES;
use crate::windows::BYTES_UNDER_TEST;

const PAGE: usize = FRAME_BYTES;
const START: usize = 0xc000_0000;

/// Where the heap is.
pub const HEAP_WINDOW: Window = Window::new(START + (8 << 20), WINDOW_BYTES);

/// Another place for one.
pub const SECOND_WINDOW: Window = Window::new(HEAP_WINDOW.base + WINDOW_BYTES, WINDOW_BYTES);

/// A page that nothing is mapped at, nor for 64 KiB to both sides, and that the kernel does not
/// use; a table begins with it.
pub const FREE_PAGE: usize = 0xf000_0000;

/// Addresses that nothing is mapped at: the first ones and the last ones of each mapped segment.
pub const NOT_MAPPED: &[usize] = &[
    0,
    0x7fff_ffff,
    START,
    0xdfff_ffff,
    0xe000_0000,
    FREE_PAGE,
    usize::MAX,
];

/// Addresses that no window can hold: those of the segments below.
pub const BEYOND: &[usize] = &[PAGE, 0x8000_0000, START - 1];

/// Windows that a heap can have besides its first: over the border of the two segments, and up to
/// the top of the address space.
pub const MORE_WINDOWS: &[Window] = &[
    Window::new(0xe000_0000 - (1 << 19), 1 << 20),
    Window::new(0_usize.wrapping_sub(1 << 20), 1 << 20),
];

/// A window up to the top of the address space.
pub const TOP_WINDOW: Window = Window::new(0_usize.wrapping_sub(8 << 20), 8 << 20);

/// A window from the bottom of the segment on.
pub const BOTTOM_WINDOW: Window = Window::new(START, 4 << 20);

/// Where the contract is tested: the test's name, and where [`BYTES_UNDER_TEST`] of address space
/// begin that nothing is mapped in.
pub const WINDOWS_UNDER_TEST: &[(&str, usize)] = &[
    ("the contract holds where the segment begins", START),
    (
        "the contract holds where a window begins with the second page of a pair",
        0xd000_0000 + 3 * PAGE,
    ),
    (
        "the contract holds over the end of kseg2",
        0xe000_0000 - 5 * PAGE,
    ),
    (
        "the contract holds up to the top of the address space",
        0_usize.wrapping_sub(BYTES_UNDER_TEST),
    ),
];

/// Whether user programs can touch the pages: the segment is not theirs.
pub const USER_CAN_TOUCH: bool = false;
