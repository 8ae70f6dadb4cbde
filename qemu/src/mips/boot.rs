//! From the entry code to the kernel's own first function.

use core::slice;

use archipelago_mips::SoftwareTables;

use super::Mapper;
use super::kseg0::{self, KSEG0_BYTES, physmap};
use crate::block::{self, Block};
use crate::boot::Boot;
use crate::boot::kernel_main;
use crate::frames::FramePool;
use crate::info::BootInfo;
use crate::memory::{MemoryKind, MemoryRegion, PhysRange};
use crate::report::stop;

/// Memory that the processor's vectors and the firmware's arguments lie in.
const LOW_MEMORY: PhysRange = PhysRange {
    start: 0,
    end: 1 << 20,
};

/// The physical address of the boot block.
const BLOCK: u64 = block::address();

/// Called by the entry code, once, on the boot stack, with the bytes of memory that there are from
/// physical address 0 on.
pub(super) extern "C" fn start(memory_bytes: usize) -> ! {
    let memory = PhysRange {
        start: 0,
        end: KSEG0_BYTES.min(memory_bytes as u64),
    };
    let info = BootInfo::new([MemoryRegion {
        range: memory,
        kind: MemoryKind::Usable,
    }]);
    let info = info.unwrap_or_else(|error| stop(format_args!("{error}")));
    // SAFETY: kseg0 maps the memory, and nothing has written to it since the machine was started.
    let block = unsafe { find_block(memory.end) };
    let kept = [
        kseg0::image(),
        LOW_MEMORY,
        block.map_or(PhysRange::EMPTY, |block| block.range),
    ];
    let info = info.with_block(block);
    // SAFETY:
    // - kseg0 always maps all memory that it reaches, readable and writable.
    // - Besides the kernel itself only the firmware and the harness left something in memory; both
    //   are kept.
    let frames = unsafe { FramePool::of(&info, KSEG0_BYTES, &kept) };
    let frames = frames.unwrap_or_else(|error| stop(format_args!("no frames: {error}")));
    let mapper: Option<Mapper> = SoftwareTables::take();
    kernel_main(Boot {
        info,
        mapper: mapper
            .unwrap_or_else(|| stop(format_args!("the software tables are taken already"))),
        frames,
    })
}

/// The boot block, if there is one below `end`.
///
/// # Safety
/// There is memory from [`BLOCK`] to `end`, to which only QEMU has written, and a block in it is
/// never written to.
unsafe fn find_block(end: u64) -> Option<Block> {
    let bytes = usize::try_from(end.saturating_sub(BLOCK)).expect("kseg0 is in reach");
    let first = physmap(BLOCK).cast_const();
    // SAFETY:
    // - The caller promises that the memory is there and initialised.
    // - The pool of frames leaves the block out, so nothing writes to it.
    let memory = unsafe { slice::from_raw_parts(first, bytes) };
    Block::read(BLOCK, memory).unwrap_or_else(|error| stop(format_args!("{error}")))
}
