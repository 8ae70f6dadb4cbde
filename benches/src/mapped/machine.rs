//! The cheapest machine there can be: addresses are pointers, all memory is there, and interrupts
//! are never masked. What is counted on it is the heap's own.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use std::process;

use archipelago::Window;
use archipelago_api::{
    Busy, CommitError, Contents, Geometry, IndexWord, InterruptState, Kernel, Machine, Patience,
    PrepareError, Report, ReserveError, VirtAddr, VirtRange,
};

/// Memory that was lent by the host, and is never given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent;

impl Lent {
    /// A machine, and a window of `arenas` arenas on it.
    pub(crate) fn with_window(arenas: usize) -> Option<(Self, Window)> {
        let arena = Self::GEOMETRY.arena_bytes();
        let layout = Layout::from_size_align(arenas * arena, arena).ok()?;
        // SAFETY: the layout is not empty, or there is no arena and no window.
        let memory = (arenas > 0).then(|| unsafe { std::alloc::alloc_zeroed(layout) })?;
        let window = Window::new(
            NonNull::new(memory)?.expose_provenance().get(),
            layout.size(),
        );
        Some((Self, window))
    }
}

// SAFETY: all memory of a window is the machine's from the beginning, zero and writable, and stays
// so; what is taken back is zeroed before it can be handed out again. A window is one allocation,
// whose provenance was exposed, and pointers are addresses.
unsafe impl Machine for Lent {
    #[cfg(target_pointer_width = "64")]
    const GEOMETRY: Geometry = Geometry::X86_64;
    #[cfg(not(target_pointer_width = "64"))]
    const GEOMETRY: Geometry = Geometry::PLAIN_32;

    type IndexRoot = [IndexWord; 1 << Self::GEOMETRY.index_root_shift];

    fn reserve(&self, _: VirtRange, _: Patience) -> Result<(), ReserveError> {
        Ok(())
    }

    unsafe fn prepare(&self, _: VirtRange, _: Patience) -> Result<(), PrepareError> {
        Ok(())
    }

    unsafe fn commit(&self, _: VirtRange, _: Patience) -> Result<Contents, CommitError> {
        Ok(Contents::Zeroed)
    }

    unsafe fn decommit(&self, range: VirtRange, _: Patience) -> Result<(), Busy> {
        let first = self.pointer(range.base());
        // SAFETY: the caller says that the range is Ready, and nobody's.
        unsafe { first.write_bytes(0, range.bytes()) };
        Ok(())
    }

    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: what is Prepared can be written, too; the caller says that it is nobody's.
        unsafe { self.decommit(range, patience) }
    }

    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy> {
        // SAFETY: what is Reserved can be written, too; the caller says that it is nobody's.
        unsafe { self.decommit(range, patience) }
    }

    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        NonNull::new(ptr::with_exposed_provenance_mut(addr.value())).unwrap_or(NonNull::dangling())
    }

    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        let addr = VirtAddr::new(pointer.addr().get());
        Self::GEOMETRY.offset(addr).map(|_| addr)
    }
}

/// One CPU whose interrupts are always enabled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lone;

impl Kernel for Lone {
    fn disable_interrupts() -> InterruptState {
        InterruptState::Enabled
    }

    fn restore_interrupts(_: InterruptState) {}

    fn interrupts_enabled() -> bool {
        true
    }

    fn stop(report: &Report) -> ! {
        eprintln!("{report}");
        process::abort()
    }
}
