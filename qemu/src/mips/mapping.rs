//! The kernel's own use of its page tables, beside the heap's.

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_mips::{Entry, Link, LocalTlb};

use super::addresses::USER_CAN_TOUCH;
use super::{FRAME_BYTES, Frames, Mapper};
use crate::mapping::{Permissions, Translation};

/// Bytes of address space that a slot of the directory translates.
const SLOT_BYTES: usize = 4 << 20;

/// Maps a frame of the pool at a page, for the kernel, and returns the frame's address. The table
/// that it needs is made, and stays.
///
/// # Panics
/// If something is mapped there, or there are no frames.
pub fn map(mapper: &mut Mapper, frames: &mut Frames, page: usize, permissions: Permissions) -> u64 {
    let slot = page / SLOT_BYTES;
    let table = match mapper.link(slot) {
        Link::Table { frame, .. } => frame,
        Link::Empty => link_table(mapper, frames, slot),
        Link::Kernel => panic!("{page:#x} is not for tables"),
    };
    let place = entry(mapper, table, page);
    // SAFETY: the place is an entry of a table, and nothing else changes it meanwhile.
    let found = Entry::from_memory(unsafe { place.read_volatile() });
    assert_eq!(found, Entry::EMPTY, "{page:#x} is mapped");
    let frame = frames.take().expect("a frame is free");
    let mut bits = Entry::GLOBAL | Entry::VALID | Entry::CACHED;
    bits.set(Entry::WRITABLE, permissions.writable);
    let new = Entry::new(PhysAddr::new(frame), bits);
    // SAFETY:
    // - The place is an entry of a table, and nothing else changes it meanwhile.
    // - The frame is new, and nothing was mapped at the page.
    unsafe { place.write_volatile(new.bits()) };
    flush(page);
    frame
}

/// Unmaps a page, returns its frame to the pool, and returns the frame's address. The page must not
/// be in use.
///
/// # Panics
/// If [`map`] did not map it.
pub fn unmap(mapper: &mut Mapper, frames: &mut Frames, page: usize) -> u64 {
    let Link::Table { frame: table, .. } = mapper.link(page / SLOT_BYTES) else {
        panic!("{page:#x} is not mapped");
    };
    let place = entry(mapper, table, page);
    // SAFETY: the place is an entry of a table, and nothing else changes it meanwhile.
    let found = Entry::from_memory(unsafe { place.read_volatile() });
    assert!(found.contains(Entry::VALID), "{page:#x} is not mapped");
    // SAFETY: the place is an entry of a table, and the page is not in use.
    unsafe { place.write_volatile(Entry::EMPTY.bits()) };
    flush(page);
    let frame = found.frame().value();
    frames.give_back(frame);
    frame
}

/// The translation of an address, if a page is mapped there.
#[must_use]
pub fn translate(mapper: &Mapper, address: usize) -> Option<Translation> {
    let found = mapper.entry(VirtAddr::new(address));
    found.contains(Entry::VALID).then(|| Translation {
        frame: found.frame().value(),
        permissions: Permissions {
            writable: found.contains(Entry::WRITABLE),
            executable: true,
        },
        user: USER_CAN_TOUCH,
    })
}

/// Makes an empty table for a slot.
fn link_table(mapper: &mut Mapper, frames: &mut Frames, slot: usize) -> PhysAddr {
    let table = PhysAddr::new(frames.take().expect("a frame is free"));
    for page in 0..SLOT_BYTES / FRAME_BYTES {
        let place = entry(mapper, table, page * FRAME_BYTES);
        // SAFETY: the frame is this function's own.
        unsafe { place.write_volatile(Entry::EMPTY.bits()) };
    }
    // SAFETY:
    // - the slot is that of a page in the segment;
    // - all entries are empty now;
    // - the frame is never given back.
    unsafe { mapper.set_link(slot, table) };
    table
}

/// Where the entry of an address is in its slot's table.
fn entry(mapper: &Mapper, table: PhysAddr, address: usize) -> *mut u32 {
    let first = mapper.memory(table).cast::<u32>().as_ptr();
    first.wrapping_add(address % SLOT_BYTES / FRAME_BYTES)
}

fn flush(page: usize) {
    let range = VirtRange::new(VirtAddr::new(page), FRAME_BYTES);
    LocalTlb::flush_local(range.expect("a page does not wrap"));
}
