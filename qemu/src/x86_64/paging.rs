//! The address space: the physmap, and the kernel's image page by page.

use spin::Mutex;
use x86_64::PhysAddr;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;
use x86_64::structures::paging::{OffsetPageTable, PageTable, PageTableFlags};

use super::FRAME_BYTES;
use crate::memory::PhysRange;

/// Where physical address 0 is mapped. The start of the upper half, offset 0, is left to the heap.
pub const PHYSMAP_BASE: u64 = 0xffff_a000_0000_0000;

/// How much physical memory is mapped there.
pub(super) const PHYSMAP_BYTES: u64 = 4 << 30;

/// Where the kernel's image is linked, less its physical address (the linker script's KERNEL_BASE).
const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Bytes that one last-level table maps.
const TABLE_REACH: u64 = 512 * FRAME_BYTES as u64;

/// Last-level tables for the image: its size is at most 64 MiB less what lies below it.
const IMAGE_TABLES: usize = 32;

static TABLES: Mutex<[PageTable; IMAGE_TABLES]> =
    Mutex::new([const { PageTable::new() }; IMAGE_TABLES]);

// Symbols of the linker script and of the entry code, of which only the addresses mean anything.
unsafe extern "C" {
    static image_physical_start: u8;
    static image_physical_end: u8;
    static text_start: u8;
    static text_end: u8;
    static rodata_end: u8;
    static data_end: u8;
    static stack_start: u8;
    static boot_level_4: u8;
    static boot_kernel_level_2: u8;
}

/// A pointer to the byte at a physical address. The end of the physmap has one too.
///
/// # Panics
/// If the address lies beyond the physmap.
#[must_use]
pub fn physmap(physical: u64) -> *mut u8 {
    assert!(
        physical <= PHYSMAP_BYTES,
        "{physical:#x} lies beyond the physmap"
    );
    (PHYSMAP_BASE + physical) as *mut u8
}

/// The physical address of a pointer into the physmap or into the kernel's image.
pub(super) fn physical(pointer: *const u8) -> u64 {
    let address = pointer.addr() as u64;
    if address >= KERNEL_BASE {
        address - KERNEL_BASE
    } else {
        address - PHYSMAP_BASE
    }
}

/// The memory that the kernel's image occupies, zeroed memory and stack included.
pub(super) fn image() -> PhysRange {
    PhysRange {
        start: (&raw const image_physical_start).addr() as u64,
        end: (&raw const image_physical_end).addr() as u64,
    }
}

/// Turns the entry code's page tables into the kernel's, and hands them out.
///
/// The identity mapping goes. Of the image's window only the image stays: its code executable and
/// read-only, constants read-only, everything else writable; nothing but code is executable, and
/// the page under the stack is not there.
///
/// # Panics
/// On a second call, which would hand out the same tables again.
pub(super) fn take_over() -> OffsetPageTable<'static> {
    // The guard is never dropped: the processor reads the tables from now on.
    let tables = TABLES
        .try_lock()
        .expect("the page tables are taken over once");
    let mut tables = core::mem::ManuallyDrop::new(tables);

    // SAFETY: the symbol is a page table of the entry code, in use and 4 KiB aligned; the physmap
    // maps it, and this function, which runs once, makes the only reference to it.
    let directory = unsafe { &mut *table(&raw const boot_kernel_level_2) };
    for (index, entry) in directory.iter_mut().enumerate() {
        let base = index as u64 * TABLE_REACH;
        if base >= image().end {
            entry.set_unused();
            continue;
        }
        let level_1 = &mut tables[index];
        for (page, entry) in (0..).zip(level_1.iter_mut()) {
            let frame = base + page * FRAME_BYTES as u64;
            match image_flags(KERNEL_BASE + frame) {
                Some(flags) => entry.set_addr(PhysAddr::new(frame), flags),
                None => entry.set_unused(),
            }
        }
        let level_1 = PhysAddr::new(physical(core::ptr::from_ref(level_1).cast()));
        entry.set_addr(level_1, PageTableFlags::PRESENT | PageTableFlags::WRITABLE);
    }

    // SAFETY:
    // - The root is a page table of the entry code, in use and aligned, and the physmap maps it.
    // - This function runs once and makes the only reference to it.
    let root = unsafe { &mut *table(&raw const boot_level_4) };
    root[0].set_unused();
    tlb::flush_all();
    // SAFETY: the root is the one in use, and the physmap maps all memory that page tables can lie
    // in: the image, and frames of the pool.
    unsafe { OffsetPageTable::new(root, VirtAddr::new(PHYSMAP_BASE)) }
}

/// A table of the entry code, through the physmap; its symbol is its physical address.
fn table(symbol: *const u8) -> *mut PageTable {
    physmap(symbol.addr() as u64).cast()
}

/// How a page of the image's window is mapped, if it is.
fn image_flags(page: u64) -> Option<PageTableFlags> {
    let address = |symbol: *const u8| symbol.addr() as u64;
    let read_only = PageTableFlags::PRESENT;
    let (text, rodata) = (address(&raw const text_start), address(&raw const text_end));
    let (data, guard) = (address(&raw const rodata_end), address(&raw const data_end));
    let stack = address(&raw const stack_start);
    let end = KERNEL_BASE + image().end;
    if (text..rodata).contains(&page) {
        Some(read_only)
    } else if (rodata..data).contains(&page) {
        Some(read_only | PageTableFlags::NO_EXECUTE)
    } else if (data..guard).contains(&page) || (stack..end).contains(&page) {
        Some(read_only | PageTableFlags::NO_EXECUTE | PageTableFlags::WRITABLE)
    } else {
        None
    }
}
