//! A machine whose memory is the model's.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use archipelago_api::{
    AllocFlags, Busy, CommitError, Contents, Geometry, IndexWord, InterruptState, Kernel, Machine,
    Patience, PrepareError, Report, ReserveError, VirtAddr, VirtRange,
};

use crate::memory::{self, Memory};

/// A space of 64 KiB in pages of 256 bytes: four arenas of 64 pages.
pub(crate) type Ram = Paged<8>;

/// A space of 64 KiB in pages of `1 << SHIFT` bytes.
#[derive(Debug)]
pub(crate) struct Paged<const SHIFT: u32> {
    memory: Memory,
    /// The machine refuses to take memory away.
    pub(crate) is_busy: AtomicBool,
}

impl<const SHIFT: u32> Paged<SHIFT> {
    /// The whole space.
    pub(crate) const BYTES: usize = 1 << Self::GEOMETRY.address_bits;

    pub(crate) fn new() -> Self {
        Self {
            memory: Memory::aligned(Self::BYTES, Self::BYTES),
            is_busy: AtomicBool::new(false),
        }
    }

    fn offset(range: VirtRange) -> usize {
        range.base().value() - Self::GEOMETRY.base
    }

    /// Takes memory away, of which some may be none.
    fn take(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        if patience == Patience::Try && self.is_busy.load(Ordering::Relaxed) {
            return Err(Busy);
        }
        memory::withdraw(self.pointer(range.base()).addr().get(), range.bytes());
        Ok(())
    }
}

// SAFETY: pages are memory of this value, in one piece; Ready pages are the model's, and zero.
unsafe impl<const SHIFT: u32> Machine for Paged<SHIFT> {
    const GEOMETRY: Geometry = Geometry::small(16, SHIFT);

    type IndexRoot = [IndexWord; 1];

    unsafe fn reserve(&self, _: VirtRange, _: Patience) -> Result<(), ReserveError> {
        Ok(())
    }

    unsafe fn prepare(&self, _: VirtRange, _: Patience) -> Result<(), PrepareError> {
        Ok(())
    }

    unsafe fn commit(&self, range: VirtRange, _: Patience) -> Result<Contents, CommitError> {
        self.memory.fresh(Self::offset(range), range.bytes());
        Ok(Contents::Zeroed)
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.take(range, patience)
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.take(range, patience)
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        self.take(range, patience)
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        let start = self.memory.start();
        start.map_addr(|start| {
            let offset = addr.value().wrapping_sub(Self::GEOMETRY.base);
            start.saturating_add(offset)
        })
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        let start = self.memory.start().addr().get();
        let offset = pointer.addr().get().checked_sub(start)?;
        (offset < Self::BYTES).then(|| VirtAddr::new(Self::GEOMETRY.base + offset))
    }
}

/// A kernel without interrupts: each thread is a CPU that is in no hurry, unless it says so.
#[derive(Debug)]
pub(crate) enum Threads {}

impl Kernel for Threads {
    fn disable_interrupts() -> InterruptState {
        InterruptState::Masked
    }

    unsafe fn restore_interrupts(_: InterruptState) {}

    fn interrupts_enabled() -> bool {
        false
    }

    fn context() -> AllocFlags {
        AllocFlags::empty()
    }

    fn stop(report: &Report) -> ! {
        unreachable!("{report:?}")
    }
}
