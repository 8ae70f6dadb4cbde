//! The address space: RAM at its own addresses, and the kernel's image in it page by page.

use core::ptr::NonNull;

use archipelago_api::{VirtAddr, VirtRange};
use archipelago_arm::{Broadcast, Linear, Maintenance, Roots, SmallPage, Tlb, Walks};
use spin::Mutex;

use super::FRAME_BYTES;
use crate::memory::PhysRange;

/// Maintenance that reaches every CPU.
pub(super) const fn everywhere() -> Maintenance<Broadcast> {
    // SAFETY: the only CPU that runs has the Multiprocessing Extensions.
    Maintenance(unsafe { Broadcast::new() })
}

/// Where RAM begins, which is mapped at its own addresses.
const RAM: usize = 0x4000_0000;

/// Physical memory from here on is not reached: TTBR0's half ends.
pub(super) const REACH: u64 = 0x8000_0000;

/// The value of TTBCR.N that the entry code sets: TTBR1 translates the upper half.
const SPLIT: u32 = 1;

const MEGABYTE: usize = 1 << 20;

/// Words of TTBR0's table.
const LOWER_WORDS: usize = 2048;

/// Where the image begins, and the 4 MiB that it and the second-level tables for it end with.
const IMAGE_BASE: usize = 0x4020_0000;

/// Words of a second-level table, which maps 1 MiB, and how many tables the image has.
const TABLE_WORDS: usize = 256;
const IMAGE_TABLES: usize = 4;

#[repr(C, align(1024))]
struct Tables([[u32; TABLE_WORDS]; IMAGE_TABLES]);

static TABLES: Mutex<Tables> = Mutex::new(Tables([[0; TABLE_WORDS]; IMAGE_TABLES]));

/// Code: read-only, executable.
const CODE: SmallPage = SmallPage::READY
    .difference(SmallPage::XN)
    .union(SmallPage::AP2);
/// Constants.
const CONSTANT: SmallPage = SmallPage::READY.union(SmallPage::AP2);

// Symbols of the linker script and of the entry code, of which only the addresses mean anything.
unsafe extern "C" {
    static image_start: u8;
    static image_end: u8;
    static text_end: u8;
    static rodata_end: u8;
    static data_end: u8;
    static stack_start: u8;
    static first_level_lower: u8;
    static first_level_upper: u8;
}

/// A pointer to the byte at a physical address. The end of RAM's reach has one too.
///
/// # Panics
/// If RAM cannot be there.
#[must_use]
pub fn physmap(physical: u64) -> *mut u8 {
    let address = usize::try_from(physical).ok();
    let address = address.filter(|address| *address >= RAM && physical <= REACH);
    let address = address.unwrap_or_else(|| panic!("{physical:#x} lies beyond the physmap"));
    core::ptr::with_exposed_provenance_mut(address)
}

/// The memory that the kernel's image occupies, zeroed memory and stack included.
pub(super) fn image() -> PhysRange {
    PhysRange {
        start: (&raw const image_start).addr() as u64,
        end: (&raw const image_end).addr() as u64,
    }
}

/// Turns the entry code's page tables into the kernel's, and hands them out.
///
/// The image's code becomes read-only and nothing else executable, its constants read-only, and the
/// page under the stack is not there. What lies beyond the `end` of RAM goes.
///
/// # Panics
/// On a second call, which would hand out the same tables again.
pub(super) fn take_over(end: u64) -> Roots {
    // The guard is never dropped: the processor reads the tables from now on.
    let tables = TABLES
        .try_lock()
        .expect("the page tables are taken over once");
    let mut tables = core::mem::ManuallyDrop::new(tables);
    for (page, word) in tables.0.as_flattened_mut().iter_mut().enumerate() {
        let address = IMAGE_BASE + page * FRAME_BYTES;
        *word = image_flags(address).map_or(0, |flags| bits(address) | flags.bits());
    }
    let lower = first_level(&raw const first_level_lower);
    // The walks of this CPU find the tables before their links.
    let everything = everywhere();
    let ram = VirtRange::new(VirtAddr::new(RAM), LOWER_WORDS / 2 * MEGABYTE);
    let ram = ram.expect("it does not wrap");
    everything.filled(ram);
    for (index, table) in tables.0.iter().enumerate() {
        /// A second-level table in domain 0.
        const LINK: u32 = 0b01;
        let link = bits(core::ptr::from_ref(table).addr()) | LINK;
        // SAFETY: the table has the word, which is for a MiB of the image and maps it where it was.
        unsafe { write(lower, IMAGE_BASE / MEGABYTE + index, link) };
    }
    let end = usize::try_from(end).expect("RAM ends below its reach");
    for megabyte in end.div_ceil(MEGABYTE)..LOWER_WORDS {
        // SAFETY: a word of the table, for a MiB in which there is no memory.
        unsafe { write(lower, megabyte, 0) };
    }
    everything.flush(ram);
    let upper = first_level(&raw const first_level_upper);
    // SAFETY: RAM is mapped at its own addresses, none of which is 0.
    let ram = unsafe { Linear::at(0) };
    // SAFETY: the entry code set TTBR0, TTBR1, TTBCR and DACR so, with walks cacheable, and TRE to
    // 0. The tables are handed out once.
    unsafe { Roots::new(lower, upper, SPLIT, Walks::of_this_cpu(), ram) }
}

/// A table of the entry code.
fn first_level(symbol: *const u8) -> NonNull<u32> {
    let table = core::ptr::with_exposed_provenance_mut(symbol.expose_provenance());
    NonNull::new(table).expect("the image is not at address 0")
}

/// Writes a word of a first-level table.
///
/// # Safety
/// The table has that word, and the running code needs no page that the word mapped.
unsafe fn write(table: NonNull<u32>, index: usize, word: u32) {
    // SAFETY: the table has the word.
    let place = unsafe { table.add(index) };
    // SAFETY:
    // - The table has the word, and tables are aligned.
    // - The running code needs no page that the word mapped.
    unsafe { place.write_volatile(word) };
}

fn bits(address: usize) -> u32 {
    u32::try_from(address).expect("words have 32 bits")
}

/// How a page of the image's 4 MiB is mapped, if it is. Memory after the image is ordinary RAM.
fn image_flags(page: usize) -> Option<SmallPage> {
    let address = |symbol: *const u8| symbol.addr();
    if page < address(&raw const text_end) {
        Some(CODE)
    } else if page < address(&raw const rodata_end) {
        Some(CONSTANT)
    } else if page < address(&raw const data_end) || page >= address(&raw const stack_start) {
        Some(SmallPage::READY)
    } else {
        None
    }
}
