//! The windows, which turn a simulated address into a pointer and back, without a lock.

use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

use archipelago_api::{VirtAddr, VirtRange};

use crate::host::{AnyReady, Block, Placement, Tampered};
use crate::violation::violation;

/// The number of blocks of host memory that a machine can have in its life. A range that is
/// reserved again after a release gets its old block.
const WINDOWS_MAX: usize = 256;

/// A range that was reserved, often with addresses around it, and the host memory that backs it.
#[derive(Debug)]
pub(crate) struct Window {
    range: VirtRange,
    block: Block,
    /// The pointer to the base of `range`.
    first: NonNull<u8>,
}

// SAFETY: `first` is a pointer into `block`, which is Send and Sync.
unsafe impl Send for Window {}
// SAFETY: `first` is a pointer into `block`, which is Send and Sync.
unsafe impl Sync for Window {}

impl Window {
    fn new(range: VirtRange, modulus: usize, traps: bool) -> Self {
        let placement = Placement {
            bytes: range.bytes(),
            residue: range.base().value() & (modulus - 1),
            modulus,
        };
        let block = Block::new(placement, traps);
        let first = block.first();
        Self {
            range,
            block,
            first,
        }
    }

    /// The bytes of `range`, which lies in the window, counted from the window's base.
    fn bytes_of(&self, range: VirtRange) -> Range<usize> {
        let first = range.base().value().wrapping_sub(self.range.base().value());
        first..first + range.bytes()
    }

    /// The address `position` bytes above the window's base, inside the window.
    pub(crate) fn address(&self, position: usize) -> VirtAddr {
        VirtAddr::new(self.range.base().value().wrapping_add(position))
    }

    /// Makes `range` accessible and fills it. `any_ready` tells the states before the call.
    pub(crate) fn make_ready(
        &self,
        range: VirtRange,
        fill: u8,
        any_ready: AnyReady<'_>,
    ) -> Result<(), Tampered> {
        self.block.make_ready(self.bytes_of(range), fill, any_ready)
    }

    /// Drops the contents of `range`. `any_ready` tells the states before the call.
    pub(crate) fn make_unready(&self, range: VirtRange, any_ready: AnyReady<'_>) {
        self.block.make_unready(self.bytes_of(range), any_ready);
    }
}

/// The multiples of `reach`, a power of two, that enclose `range`.
fn around(range: VirtRange, reach: usize) -> VirtRange {
    let base = range.base().align_down(reach);
    let last = range
        .last()
        .map_or(base.value(), |last| last.value() | (reach - 1));
    VirtRange::new(base, last - base.value() + 1).unwrap_or(range)
}

/// All windows that a machine ever had. The newest one that holds an address is in use: older ones
/// were released.
#[derive(Debug)]
pub(crate) struct Windows {
    /// Filled from the low end; those below `count` stay filled.
    slots: [OnceLock<Window>; WINDOWS_MAX],
    count: AtomicUsize,
}

impl Windows {
    pub(crate) fn new() -> Self {
        Self {
            slots: [const { OnceLock::new() }; WINDOWS_MAX],
            count: AtomicUsize::new(0),
        }
    }

    fn newest_first(&self) -> impl Iterator<Item = &Window> {
        // Acquire pairs with the Release in `open`: the slots below the count are filled.
        let count = self.count.load(Ordering::Acquire);
        self.slots[..count].iter().rev().filter_map(OnceLock::get)
    }

    /// The window that holds all of `range`, if one does.
    pub(crate) fn holding(&self, range: VirtRange) -> Option<&Window> {
        self.newest_first()
            .find(|window| window.range.overlaps(range))
            .filter(|window| window.range.contains_range(range))
    }

    /// Makes sure that there is host memory for `range`, and for all of the `reach` bytes around
    /// it: windows that are adjacent are then one piece of memory, as on metal. Those that meet at
    /// a multiple of `reach` are not, and a call over both is refused. One caller at a time.
    pub(crate) fn open(&self, range: VirtRange, reach: usize, modulus: usize, traps: bool) {
        if self.holding(range).is_some() {
            return;
        }
        let around = around(range, reach);
        let is_apart = self
            .newest_first()
            .all(|window| !window.range.overlaps(around));
        let range = if is_apart { around } else { range };
        let count = self.count.load(Ordering::Relaxed);
        let Some(slot) = self.slots.get(count) else {
            violation(format_args!(
                "reserve of {range}: a machine serves {WINDOWS_MAX} different windows in its life"
            ));
        };
        slot.get_or_init(|| Window::new(range, modulus, traps));
        self.count.store(count + 1, Ordering::Release);
    }

    /// The pointer to `addr`, dangling outside every window.
    pub(crate) fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        for window in self.newest_first() {
            if window.range.contains(addr) {
                let position = addr.value().wrapping_sub(window.range.base().value());
                // SAFETY: the block has a byte for every address of the window's range.
                return unsafe { window.first.add(position) };
            }
        }
        NonNull::dangling()
    }

    /// The address of `pointer`, if it points into a window.
    pub(crate) fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.newest_first().find_map(|window| {
            let position = pointer.addr().get().wrapping_sub(window.first.addr().get());
            if position >= window.range.bytes() {
                return None;
            }
            let addr = window.address(position);
            // A newer window may have taken the address over.
            (self.pointer(addr) == pointer).then_some(addr)
        })
    }
}
