//! The kernel's own use of its page tables, beside the heap's.

use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::{MappedFrame, TranslateResult};
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, Mapper as _, Page, PageTableFlags, Size4KiB, Translate,
};

use super::{Frames, Mapper};
use crate::mapping::{Permissions, Translation};

fn page_at(address: usize) -> Page<Size4KiB> {
    Page::containing_address(VirtAddr::new(address as u64))
}

/// Maps a frame of the pool at a page, for the kernel, and returns the frame's address.
///
/// # Panics
/// If something is mapped there, or there are no frames.
pub fn map(mapper: &mut Mapper, frames: &mut Frames, page: usize, permissions: Permissions) -> u64 {
    let frame = frames.allocate_frame().expect("a frame is free");
    let mut flags = PageTableFlags::PRESENT;
    flags.set(PageTableFlags::WRITABLE, permissions.writable);
    flags.set(PageTableFlags::NO_EXECUTE, !permissions.executable);
    // SAFETY: the frame is new, and nothing is mapped at the page, or this fails.
    let mapped = unsafe { mapper.map_to(page_at(page), frame, flags, frames) };
    mapped
        .expect("the page is free, and there are frames")
        .flush();
    frame.start_address().as_u64()
}

/// Unmaps a page, returns its frame to the pool, and returns the frame's address. The page must not
/// be in use.
///
/// # Panics
/// If [`map`] did not map it.
pub fn unmap(mapper: &mut Mapper, frames: &mut Frames, page: usize) -> u64 {
    let (frame, flush) = mapper.unmap(page_at(page)).expect("the page is mapped");
    flush.flush();
    // SAFETY: the frame came from the pool and is mapped nowhere but in the physmap now.
    unsafe { frames.deallocate_frame(frame) };
    frame.start_address().as_u64()
}

/// The translation of an address, if a page of the smallest size is mapped there.
#[must_use]
pub fn translate(mapper: &Mapper, address: usize) -> Option<Translation> {
    let TranslateResult::Mapped {
        frame: MappedFrame::Size4KiB(frame),
        flags,
        ..
    } = mapper.translate(VirtAddr::new(address as u64))
    else {
        return None;
    };
    Some(Translation {
        frame: frame.start_address().as_u64(),
        permissions: Permissions {
            writable: flags.contains(PageTableFlags::WRITABLE),
            executable: !flags.contains(PageTableFlags::NO_EXECUTE),
        },
        user: flags.contains(PageTableFlags::USER_ACCESSIBLE),
    })
}
