//! Places in kuseg: the lower 2 GiB.

use archipelago::Window;
pub(in super::super) use archipelago_mips::Kuseg as Segment;

use super::WINDOW_BYTES;
use crate::machine::FRAME_BYTES;
use crate::windows::BYTES_UNDER_TEST;

const PAGE: usize = FRAME_BYTES;
/// The first address above.
const END: usize = 0x8000_0000;

/// Where the heap is.
pub const HEAP_WINDOW: Window = Window::new(0x1000_0000, WINDOW_BYTES);

/// Another place for one.
pub const SECOND_WINDOW: Window = Window::new(0x3000_0000, WINDOW_BYTES);

/// A page that nothing is mapped at, nor for 64 KiB to both sides, and that the kernel does not
/// use; a table begins with it.
pub const FREE_PAGE: usize = 0x6000_0000;

/// Addresses that nothing is mapped at: the first one and the last ones of each mapped segment.
pub const NOT_MAPPED: &[usize] = &[
    0,
    FREE_PAGE,
    END - PAGE,
    END - 1,
    0xc000_0000,
    0xdfff_ffff,
    0xe000_0000,
    usize::MAX,
];

/// Addresses that no window can hold: those of the segments above.
pub const BEYOND: &[usize] = &[END, 0xa000_0000, 0xc000_0000, usize::MAX];

/// Windows that a heap can have besides its first: at both ends of the segment.
pub const MORE_WINDOWS: &[Window] = &[
    Window::new(PAGE, 1 << 20),
    Window::new(END - (1 << 20), 1 << 20),
];

/// A window up to the top of the segment.
pub const TOP_WINDOW: Window = Window::new(END - (8 << 20), 8 << 20);

/// A window from its bottom on.
pub const BOTTOM_WINDOW: Window = Window::new(0, 4 << 20);

/// Where the contract is tested: the test's name, and where [`BYTES_UNDER_TEST`] of address space
/// begin that nothing is mapped in.
pub const WINDOWS_UNDER_TEST: &[(&str, usize)] = &[
    ("the contract holds next to the granule at address 0", PAGE),
    (
        "the contract holds where a window begins with the second page of a pair",
        0x2000_0000 + 3 * PAGE,
    ),
    (
        "the contract holds over the end of a table",
        0x2040_0000 - 5 * PAGE,
    ),
    (
        "the contract holds up to the top of the segment",
        END - BYTES_UNDER_TEST,
    ),
];

/// Whether user programs can touch the pages: nothing in a TLB entry could forbid it.
pub const USER_CAN_TOUCH: bool = true;
