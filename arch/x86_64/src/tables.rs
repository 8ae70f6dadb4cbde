//! What the machine needs of the kernel's mapper: its tables.

use core::ptr::NonNull;

use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::PageTableFrameMapping;
use x86_64::structures::paging::{MappedPageTable, OffsetPageTable, PageTable, PhysFrame};

/// A mapper whose tables can be reached.
///
/// `Mapper` makes no table without a page in it, a `map_to` that fails leaves the tables above it
/// linked, and `CleanUp` frees every empty table, no matter who made it. What the heap owes its
/// kernel (a step that fails leaves nothing behind, and the kernel's tables are never freed) needs
/// the tables themselves, so this is what is asked of a mapper. [`OffsetPageTable`] and
/// [`MappedPageTable`] have it.
///
/// # Safety
/// An implementor promises that:
/// - [`root`](Self::root) answers the level-4 table of one well-formed hierarchy, always the same;
/// - [`table`](Self::table) answers a pointer through which the whole frame can be read and
///   written, for every frame that an entry of the hierarchy links as a table and for every frame
///   of memory that is in use by nobody;
/// - while the mapper is borrowed mutably, nobody else on this machine accesses those tables.
pub unsafe trait PageTables: Send + 'static {
    /// The level-4 table.
    fn root(&mut self) -> NonNull<PageTable>;

    /// Where the memory of `frame` is mapped.
    ///
    /// # Safety
    /// The hierarchy links `frame` as a table, or it is memory that the caller alone uses. It is
    /// not a frame that the mapper maps at address 0.
    unsafe fn table(&self, frame: PhysFrame) -> NonNull<PageTable>;
}

// SAFETY: whoever made the `OffsetPageTable` promised that it holds a valid hierarchy and that all
// physical memory is mapped at its offset; it holds the only mutable reference to the level-4
// table.
unsafe impl PageTables for OffsetPageTable<'static> {
    fn root(&mut self) -> NonNull<PageTable> {
        NonNull::from(self.level_4_table_mut())
    }

    unsafe fn table(&self, frame: PhysFrame) -> NonNull<PageTable> {
        let address = self
            .phys_offset()
            .as_u64()
            .wrapping_add(frame.start_address().as_u64());
        let pointer = VirtAddr::new_truncate(address).as_mut_ptr();
        // SAFETY: the caller promises that the frame is not mapped at address 0.
        unsafe { NonNull::new_unchecked(pointer) }
    }
}

// SAFETY: whoever made the `MappedPageTable` promised that it holds a valid hierarchy and that its
// mapping is right; it holds the only mutable reference to the level-4 table.
unsafe impl<M> PageTables for MappedPageTable<'static, M>
where
    M: PageTableFrameMapping + Send + 'static,
{
    fn root(&mut self) -> NonNull<PageTable> {
        NonNull::from(self.level_4_table_mut())
    }

    unsafe fn table(&self, frame: PhysFrame) -> NonNull<PageTable> {
        let pointer = self.page_table_frame_mapping().frame_to_pointer(frame);
        // SAFETY: the caller promises that the frame is not mapped at address 0.
        unsafe { NonNull::new_unchecked(pointer) }
    }
}
