//! The frame pool as the `x86_64` crate's frame allocator.

use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame, Size4KiB};

use crate::frames::FramePool;

// SAFETY: the pool hands out a frame once until it is given back, and only frames that nothing else
// uses.
unsafe impl FrameAllocator<Size4KiB> for FramePool {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.take()
            .map(|address| PhysFrame::containing_address(PhysAddr::new(address)))
    }
}

impl FrameDeallocator<Size4KiB> for FramePool {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        self.give_back(frame.start_address().as_u64());
    }
}
