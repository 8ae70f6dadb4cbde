//! The machine's requirement on a kernel's mapper: access to its tables.

use core::ptr::NonNull;

use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::PageTableFrameMapping;
use x86_64::structures::paging::{MappedPageTable, OffsetPageTable, PageTable, PhysFrame};

/// A mapper whose tables can be reached. [`OffsetPageTable`] and [`MappedPageTable`] are such
/// mappers.
///
/// The crate's `Mapper` is not enough: it makes no table without a page in it, a `map_to` that
/// fails leaves the tables above the page linked, and `CleanUp` frees every empty table, the
/// kernel's included. The heap promises its kernel that a step which fails leaves nothing, and that
/// the kernel's tables are never freed, so it needs the tables themselves.
///
/// # Safety
/// An implementor promises that:
/// - [`root`](Self::root) returns the level-4 table of one well-formed hierarchy, always the same;
/// - [`table`](Self::table) returns a pointer through which the whole frame can be read and
///   written, for every frame that an entry of the hierarchy links as a table and for every frame
///   of memory that nothing uses;
/// - while the mapper is borrowed mutably, nothing else on this machine accesses those tables.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot serve the heap: it has to reach frames that are no tables yet",
    label = "not a mapper that reaches every frame",
    note = "`RecursivePageTable` reaches only frames that are tables already: map all physical \
            memory at an offset and use `OffsetPageTable`, or `MappedPageTable` over a mapping of \
            your own"
)]
pub unsafe trait PageTables: Send + 'static {
    /// The level-4 table.
    fn root(&mut self) -> NonNull<PageTable>;

    /// The address at which the memory of `frame` is mapped.
    ///
    /// # Safety
    /// - The hierarchy links `frame` as a table, or it is memory that the caller alone uses.
    /// - The mapper does not map it at address 0.
    unsafe fn table(&self, frame: PhysFrame) -> NonNull<PageTable>;
}

// SAFETY:
// - the caller of `OffsetPageTable::new` promised a valid hierarchy, whose root never changes;
// - and that all physical memory is mapped at the offset;
// - the value holds the only mutable reference to the level-4 table.
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

// SAFETY:
// - the caller of `MappedPageTable::new` promised a valid hierarchy, whose root never changes;
// - and that the frame mapping is right;
// - the value holds the only mutable reference to the level-4 table.
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
