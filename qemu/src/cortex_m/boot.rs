//! From reset to the kernel's own first function.

use cortex_m_rt::entry;

use super::banks::{BANKS, BLOCK, physmap};
use super::{Frames, Mapper, counter, heap};
use crate::block::Block;
use crate::boot::Boot;
use crate::boot::kernel_main;
use crate::info::BootInfo;
use crate::memory::{MemoryKind, MemoryRegion};
use crate::report::stop;

/// Called by `cortex-m-rt` with statics initialised, on the boot stack.
#[entry]
fn start() -> ! {
    counter::start();
    let regions = BANKS.map(|bank| MemoryRegion {
        range: bank.range,
        kind: MemoryKind::Usable,
    });
    let info = BootInfo::new(regions).unwrap_or_else(|error| stop(format_args!("{error}")));
    let length = usize::try_from(BLOCK.end - BLOCK.start);
    let length = length.unwrap_or_else(|error| stop(format_args!("{error}")));
    // SAFETY:
    // - The bank is RAM, which QEMU has initialised.
    // - Nothing writes to this part of it.
    let memory = unsafe { core::slice::from_raw_parts(physmap(BLOCK.start), length) };
    let block = Block::read(BLOCK.start, memory);
    let block = block.unwrap_or_else(|error| stop(format_args!("the boot block: {error}")));
    let managed = heap::make();
    let managed = managed.unwrap_or_else(|error| stop(format_args!("no memory: {error}")));
    kernel_main(Boot {
        info: info.with_block(block),
        mapper: Mapper,
        frames: Frames::new(managed),
    })
}
