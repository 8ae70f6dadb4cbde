//! From the entry code to the kernel's own first function.

use super::paging;
use super::physmap;
use super::{counter, device_tree};
use crate::block::{self, Block};
use crate::boot::Boot;
use crate::boot::kernel_main;
use crate::frames::FramePool;
use crate::info::BootInfo;
use crate::memory::{MemoryRegion, PhysRange};
use crate::report::stop;

/// The physical address of the boot block.
const BLOCK: u64 = block::address();

/// Called by the entry code, once, on the boot stack.
pub(crate) extern "C" fn start() -> ! {
    counter::start();
    // SAFETY: nothing has run but the entry code.
    let info = match unsafe { device_tree::read() } {
        Ok(info) => info,
        Err(error) => stop(format_args!("the device tree cannot be used: {error}")),
    };
    let end = end_of_memory(&info);
    let mapper = paging::take_over(end);
    let block = find_block(end);
    let kept = [
        paging::image(),
        block.map_or(PhysRange::EMPTY, |block| block.range),
    ];
    // SAFETY:
    // - RAM below its end is always mapped at its own addresses, readable and writable.
    // - Nothing is in it that is still needed but the image and the block, which are kept.
    let frames = unsafe { FramePool::of(&info, end, &kept) };
    let frames = frames.unwrap_or_else(|error| stop(format_args!("no frames: {error}")));
    kernel_main(Boot {
        info: info.with_block(block),
        mapper,
        frames,
    })
}

/// The end of the RAM that the page tables map.
fn end_of_memory(info: &BootInfo) -> u64 {
    let usable = info.memory_map().filter(MemoryRegion::is_usable);
    let end = usable.map(|region| region.range.end).max().unwrap_or(0);
    end.min(paging::REACH)
}

/// The boot block, if there is one.
fn find_block(end: u64) -> Option<Block> {
    let bytes = usize::try_from(end.saturating_sub(BLOCK)).unwrap_or(0);
    // SAFETY:
    // - RAM up to its end is mapped, and QEMU has initialised all of it.
    // - The pool of frames leaves the block out, so nothing writes to it.
    let memory = unsafe { core::slice::from_raw_parts(physmap(BLOCK.min(end)), bytes) };
    match Block::read(BLOCK, memory) {
        Ok(block) => block,
        Err(error) => stop(format_args!("{error}")),
    }
}
