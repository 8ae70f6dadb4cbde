//! The heap's machine: the flat one over all banks, guarded by the lock that the kernel shares.

use core::ptr::NonNull;

use archipelago::Window;
use archipelago_api::{
    Busy, CommitError, Contents, Footprint, Geometry, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};
use archipelago_flat::{Flat, Shape};
use spin::{MutexGuard, Once};

use super::windows::{HEAP_WINDOW, THIRD_WINDOW};
use super::{Frames, Mapper, banks};
use crate::shared::Memory;
use crate::windows::ScannablePlace;

archipelago_flat::shape! {
    /// All banks at their own addresses, in pages of 1 KiB.
    pub Board = Geometry { base: 0, ..Geometry::small(30, 10) }
}

/// Where scannable objects go: in two banks, over the places where windows and arenas meet.
pub const SCANNABLE_PLACES: &[ScannablePlace] = &[ScannablePlace {
    name: "in two banks",
    windows: &[
        Window::for_metadata(HEAP_WINDOW.base + (1 << 20), 1 << 20),
        Window::new(HEAP_WINDOW.base, 1 << 20),
        Window::new(THIRD_WINDOW.base - (1 << 20), 1 << 20),
        THIRD_WINDOW,
    ],
    // No window has room for it; the last two together have.
    long: 5 << 18,
    boundaries: 4,
}];

/// The machine that all heaps share, each with windows of its own.
static FLAT: Once<Flat<Board, 3>> = Once::new();

/// Makes the machine that all heaps share, and says how many granules it has.
pub(super) fn make() -> Result<u64, archipelago_flat::RegionError> {
    // SAFETY:
    // - The linker script leaves the regions unused; `new` checks that against the image's symbols.
    // - The boot block ends below them, and the kernel carves its memory beside them.
    let machine = unsafe { Flat::new(&banks::regions(), &banks::static_memory()) }?;
    let bytes: usize = machine.windows().map(|(range, _)| range.bytes()).sum();
    FLAT.call_once(|| machine);
    Ok(bytes as u64 / super::FRAME_BYTES as u64)
}

/// The heap's machine.
#[derive(Clone, Copy, Debug)]
pub struct HeapMachine {
    flat: &'static Flat<Board, 3>,
    memory: &'static Memory,
}

/// A machine over the shared memory.
///
/// # Panics
/// Before the boot code has made the machine that all share.
#[must_use]
pub fn machine(memory: &'static Memory) -> HeapMachine {
    HeapMachine {
        flat: FLAT.get().expect("the boot code made it"),
        memory,
    }
}

impl HeapMachine {
    fn lock(&self, patience: Patience) -> Result<MutexGuard<'static, (Mapper, Frames)>, Busy> {
        match patience {
            Patience::Wait => Ok(self.memory.lock()),
            Patience::Try => self.memory.try_lock().ok_or(Busy),
        }
    }

    /// Runs `call` and notes how many granules went back by it.
    fn lower(
        &self,
        patience: Patience,
        call: impl FnOnce() -> Result<(), Busy>,
    ) -> Result<(), Busy> {
        let mut memory = self.lock(patience)?;
        let before = self.flat.ready_granules();
        call()?;
        memory.1.gave_back(before - self.flat.ready_granules());
        Ok(())
    }
}

// SAFETY: the flat machine keeps every promise. Heaps that share it enter it one at a time, under
// the lock, and have windows of their own.
unsafe impl Machine for HeapMachine {
    const GEOMETRY: Geometry = Board::GEOMETRY;

    type IndexRoot = <Board as Shape>::IndexRoot;

    const DECOMMITS: bool = Flat::<Board, 3>::DECOMMITS;

    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError> {
        let _held = self.lock(patience)?;
        // SAFETY: the caller's promise is the same.
        unsafe { self.flat.reserve(range, patience) }
    }

    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError> {
        let _held = self.lock(patience)?;
        // SAFETY: the caller makes the promises of `Machine::prepare`.
        unsafe { self.flat.prepare(range, patience) }
    }

    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError> {
        let mut memory = self.lock(patience)?;
        // SAFETY: the caller makes the promises of `Machine::commit`.
        let contents = unsafe { self.flat.commit(range, patience) }?;
        memory.1.took(range.bytes() / super::FRAME_BYTES);
        Ok(contents)
    }

    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller makes the promises of `Machine::decommit`.
        self.lower(patience, || unsafe { self.flat.decommit(range, patience) })
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller makes the promises of `Machine::fault`.
        self.lower(patience, || unsafe { self.flat.fault(range, patience) })
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: the caller makes the promises of `Machine::release`.
        self.lower(patience, || unsafe { self.flat.release(range, patience) })
    }

    #[inline]
    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        self.flat.pointer(addr)
    }

    #[inline]
    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        self.flat.address(pointer)
    }

    /// The footprint of no heap: the boot code gave the machine the memory for the granules'
    /// states.
    fn footprint(&self) -> Footprint {
        Footprint::default()
    }
}
