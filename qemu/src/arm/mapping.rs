//! The kernel's own use of its page tables, beside the heap's.

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_arm::{Link, SmallPage, Tlb};

use super::paging::everywhere;
use super::{FRAME_BYTES, physmap};
use super::{Frames, Mapper};
use crate::mapping::{Permissions, Translation};

/// Bytes that a slot translates, and words of its table.
const SLOT: usize = 4 << 20;
const WORDS: usize = SLOT / FRAME_BYTES;

/// The address of a frame in a word.
const FRAME: u32 = 0xffff_f000;

/// Maps a frame of the pool at a page, for the kernel, and returns the frame's address.
///
/// # Panics
/// If something is mapped there, or there are no frames.
pub fn map(mapper: &mut Mapper, frames: &mut Frames, page: usize, permissions: Permissions) -> u64 {
    let table = match mapper.link(page / SLOT) {
        Link::Table { frame, .. } => frame,
        Link::Kernel => panic!("{page:#x} is part of the kernel"),
        Link::Empty => new_table(mapper, frames, page / SLOT),
    };
    let frame = frames.take().expect("a frame is free");
    let mut flags = SmallPage::READY;
    flags.set(SmallPage::AP2, !permissions.writable);
    flags.set(SmallPage::XN, !permissions.executable);
    let place = word(table, page);
    // SAFETY: the word is one of a table that a slot links, and nothing else uses the tables
    // meanwhile.
    let before = unsafe { place.read_volatile() };
    assert_eq!(before, 0, "something is mapped at {page:#x}");
    let number = u32::try_from(frame).expect("RAM lies below 4 GiB");
    // SAFETY:
    // - The word is one of a table that a slot links, and nothing else uses the tables meanwhile.
    // - The frame is new, and nothing was mapped at the page.
    unsafe { place.write_volatile(number | flags.bits()) };
    everywhere().filled(one(page));
    frame
}

/// Links an empty table in a slot, for good.
fn new_table(mapper: &mut Mapper, frames: &mut Frames, slot: usize) -> PhysAddr {
    let frame = frames.take().expect("a frame is free");
    // SAFETY: the frame was just taken, and the physmap maps it.
    unsafe { physmap(frame).write_bytes(0, FRAME_BYTES) };
    let table = PhysAddr::new(frame);
    // SAFETY:
    // - the slot is that of a page;
    // - every word of the table is 0;
    // - the frame is never given back.
    unsafe { mapper.set_link(slot, table) };
    table
}

/// Unmaps a page, returns its frame to the pool, and returns the frame's address. The page must not
/// be in use.
///
/// # Panics
/// If [`map`] did not map it.
pub fn unmap(mapper: &mut Mapper, frames: &mut Frames, page: usize) -> u64 {
    let Link::Table { frame: table, .. } = mapper.link(page / SLOT) else {
        panic!("nothing is mapped at {page:#x}");
    };
    let place = word(table, page);
    // SAFETY: the word is one of a table that a slot links, and nothing else uses the tables
    // meanwhile.
    let before = unsafe { place.read_volatile() };
    assert!(is_small_page(before), "nothing is mapped at {page:#x}");
    // SAFETY: the word is one of a table that a slot links, and the page is not in use.
    unsafe { place.write_volatile(0) };
    everywhere().flush(one(page));
    let frame = u64::from(before & FRAME);
    frames.give_back(frame);
    frame
}

/// The translation of an address, if a page of the smallest size is mapped there.
#[must_use]
pub fn translate(mapper: &Mapper, address: usize) -> Option<Translation> {
    let word = mapper.page(VirtAddr::new(address))?;
    if !is_small_page(word) {
        return None;
    }
    let flags = SmallPage::from_bits_retain(word & !FRAME);
    Some(Translation {
        frame: u64::from(word & FRAME),
        permissions: Permissions {
            writable: !flags.contains(SmallPage::AP2),
            executable: !flags.contains(SmallPage::XN),
        },
        user: flags.contains(SmallPage::AP1),
    })
}

fn is_small_page(word: u32) -> bool {
    SmallPage::from_bits_retain(word).contains(SmallPage::SMALL)
}

/// The word of a page in the table of its slot.
fn word(table: PhysAddr, page: usize) -> *mut u32 {
    let words: *mut u32 = physmap(table.value()).cast();
    words.wrapping_add(page / FRAME_BYTES % WORDS)
}

fn one(page: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(page), FRAME_BYTES).expect("a page does not wrap")
}
