//! The board's banks of RAM, and their users.

use archipelago::VirtRange;
use archipelago_flat::{Region, occupied};

use super::FRAME_BYTES;
use super::windows::{HEAP_WINDOW, SECOND_WINDOW, THIRD_WINDOW};
use crate::block;
use crate::memory::PhysRange;

/// A bank of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank {
    /// The bank's name in the board's manual.
    pub name: &'static str,
    /// The bank's addresses.
    pub range: PhysRange,
}

/// The banks, lowest first.
pub(super) const BANKS: [Bank; 3] = [
    Bank {
        name: "SSRAM1",
        range: PhysRange {
            start: 0,
            end: 0x40_0000,
        },
    },
    Bank {
        name: "SSRAM2/3",
        range: PhysRange {
            start: 0x2000_0000,
            end: 0x2040_0000,
        },
    },
    Bank {
        name: "PSRAM",
        range: PhysRange {
            start: 0x2100_0000,
            end: 0x2200_0000,
        },
    },
];

/// The memory that a boot block can occupy: up to the second window.
pub(super) const BLOCK: PhysRange = PhysRange {
    start: block::address(),
    end: 0x2140_0000,
};

/// Memory that kernels carve for themselves: the rest of the second bank, after the heap's window,
/// then the rest of the third.
const CARVED: [PhysRange; 2] = [
    PhysRange {
        start: 0x2038_0000,
        end: 0x2040_0000,
    },
    PhysRange {
        start: 0x2180_0000,
        end: 0x2200_0000,
    },
];

// Symbols of the linker scripts, of which only the addresses mean anything.
unsafe extern "C" {
    static mut image_end: u8;
    static __sdata: u8;
    static _stack_start: u8;
}

impl Bank {
    /// The bank that an address lies in.
    #[must_use]
    pub fn of(address: usize) -> Option<Self> {
        let holds = |bank: &&Self| (bank.range.start..bank.range.end).contains(&(address as u64));
        BANKS.iter().find(holds).copied()
    }
}

/// The memory of the image: code, constants and initial values; statics and the stack.
#[must_use]
pub fn static_memory() -> [VirtRange; 2] {
    [
        occupied(core::ptr::null(), &raw const image_end),
        occupied(&raw const __sdata, &raw const _stack_start),
    ]
}

/// The regions for heaps: the bank at address 0, after the image, and the windows of the other two
/// banks, the last with a few granules more for the states of all granules.
pub(super) fn regions() -> [Region; 3] {
    const STATES_BYTES: usize = 16 << 10;
    let first_end = BANKS[0].range.end;
    [
        Region::between(&raw mut image_end, physmap(first_end)),
        Region::new(physmap(HEAP_WINDOW.base as u64), HEAP_WINDOW.bytes),
        Region::new(
            physmap(SECOND_WINDOW.base as u64),
            SECOND_WINDOW.bytes + THIRD_WINDOW.bytes + STATES_BYTES,
        )
        .for_metadata(),
    ]
}

/// A pointer to the byte at a physical address: the same number.
#[must_use]
pub fn physmap(physical: u64) -> *mut u8 {
    let address = usize::try_from(physical).expect("the board's addresses have 32 bits");
    core::ptr::with_exposed_provenance_mut(address)
}

/// Granules and who has them, in the place of a pool of frames.
#[derive(Debug)]
pub struct Banks {
    managed: u64,
    taken: u64,
    returned: u64,
    carved: [PhysRange; 2],
}

impl Banks {
    /// All granules of a machine are free.
    pub(super) fn new(managed: u64) -> Self {
        Self {
            managed,
            taken: 0,
            returned: 0,
            carved: CARVED,
        }
    }

    /// Granules that heaps have.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.taken - self.returned
    }

    /// Granules that heaps could have.
    #[must_use]
    pub fn managed_frames(&self) -> u64 {
        self.managed
    }

    /// Granules that heaps do not have.
    #[must_use]
    pub fn free_frames(&self) -> u64 {
        self.managed - self.in_use()
    }

    /// Takes memory for the kernel itself, for good: from the second bank while it lasts.
    pub fn carve(&mut self, bytes: usize) -> Option<PhysRange> {
        let bytes = bytes.next_multiple_of(FRAME_BYTES) as u64;
        let fits = |range: &&mut PhysRange| range.end - range.start >= bytes;
        let range = self.carved.iter_mut().find(fits)?;
        let start = range.start;
        range.start += bytes;
        let end = range.start;
        Some(PhysRange { start, end })
    }

    pub(super) fn took(&mut self, granules: usize) {
        self.taken += granules as u64;
    }

    pub(super) fn gave_back(&mut self, granules: usize) {
        self.returned += granules as u64;
    }
}
