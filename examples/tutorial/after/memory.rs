//! The kernel's memory: its page tables, and frames out of the memory map.

use archipelago_qemu::{BootInfo, PHYSMAP_BASE};
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::{FrameAllocator, OffsetPageTable, PageTable, PhysFrame, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

/// The page tables in use.
///
/// # Safety
/// All physical memory is mapped at [`PHYSMAP_BASE`], and no other reference to the level-4 table
/// exists: there is one call.
pub unsafe fn init() -> OffsetPageTable<'static> {
    let (level_4, _) = Cr3::read();
    let offset = VirtAddr::new(PHYSMAP_BASE);
    let table: *mut PageTable = (offset + level_4.start_address().as_u64()).as_mut_ptr();
    // SAFETY: the caller promises that the table is mapped there, and that this is the only
    // reference to it.
    let table = unsafe { &mut *table };
    // SAFETY:
    // - The table is the level-4 table in use.
    // - The caller promises that all physical memory is mapped at the offset.
    unsafe { OffsetPageTable::new(table, offset) }
}

/// Frames that the memory map says are usable. None is ever taken back.
pub struct BootFrameAllocator {
    info: BootInfo,
    /// The address from which on frames are free.
    next: u64,
}

/// The first free address: the kernel's image and the boot loader's data lie below 16 MiB.
const FIRST: u64 = 16 << 20;

impl BootFrameAllocator {
    /// An allocator that has handed out nothing.
    ///
    /// # Safety
    /// Nothing else uses memory that the memory map calls usable, from [`FIRST`] on.
    pub unsafe fn new(info: BootInfo) -> Self {
        Self { info, next: FIRST }
    }

    fn usable_frames(&self) -> impl Iterator<Item = PhysFrame> + use<> {
        let next = self.next;
        let regions = self.info.memory_map();
        let usable = regions.filter(|region| region.is_usable());
        let addresses = usable
            .flat_map(move |region| (region.range.start.max(next)..region.range.end).step_by(4096));
        addresses.map(|address| PhysFrame::containing_address(PhysAddr::new(address)))
    }
}

// SAFETY: every frame is handed out once, and nothing else uses it, as the caller of `new`
// promised.
unsafe impl FrameAllocator<Size4KiB> for BootFrameAllocator {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let frame = self.usable_frames().next()?;
        self.next = frame.start_address().as_u64() + frame.size();
        Some(frame)
    }
}
