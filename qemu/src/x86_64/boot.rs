//! From the entry code to the kernel's own first function.

use x86_64::structures::paging::OffsetPageTable;

use super::start_info::{KEPT_MAX, REGIONS_MAX, StartInfo};
use super::{descriptors, paging};
use crate::{FramePool, PhysRange, stop};

/// What a kernel starts with.
#[derive(Debug)]
pub struct Boot {
    /// What the boot loader said: memory map, modules, command line.
    pub start_info: StartInfo,
    /// The page tables in use, through the physmap.
    pub mapper: OffsetPageTable<'static>,
    /// Every free frame below the physmap's end. The kernel's image, the start information and the
    /// modules are not among them.
    pub frames: FramePool,
}

/// Memory below here is left to the firmware and to code that starts other CPUs.
const LOW_MEMORY: PhysRange = PhysRange {
    start: 0,
    end: 1 << 20,
};

unsafe extern "Rust" {
    /// The kernel's first function, which `entry!` names.
    safe fn kernel_main(boot: Boot) -> !;
}

/// Called by the entry code, once, on the boot stack, with the physical address of the start
/// information.
pub(crate) extern "C" fn start(start_info: u32) -> ! {
    descriptors::load();
    let mapper = paging::take_over();
    // SAFETY: the entry code passes on what the boot loader said, and nothing has used memory
    // outside of the kernel's image yet.
    let start_info = match unsafe { StartInfo::read(start_info.into()) } {
        Ok(info) => info,
        Err(error) => stop(format_args!(
            "the start information cannot be used: {error}"
        )),
    };
    let frames = match frames(&start_info) {
        Ok(frames) => frames,
        Err(error) => stop(format_args!("no frames: {error}")),
    };
    kernel_main(Boot {
        start_info,
        mapper,
        frames,
    })
}

fn frames(start_info: &StartInfo) -> Result<FramePool, crate::FramePoolError> {
    let mut usable = [PhysRange { start: 0, end: 0 }; REGIONS_MAX];
    let mut usable_count = 0;
    for region in start_info.memory_map().filter(|region| region.is_usable()) {
        // What the physmap does not reach is not used.
        let range = region.range;
        let end = range.end.min(paging::PHYSMAP_BYTES);
        usable[usable_count] = PhysRange {
            start: range.start.min(end),
            end,
        };
        usable_count += 1;
    }
    let mut kept = [LOW_MEMORY; KEPT_MAX + 2];
    kept[0] = paging::image();
    let kept_count = 1 + start_info.kept(&mut kept[1..]);
    kept[kept_count] = LOW_MEMORY;
    // SAFETY:
    // - `usable` ends where the physmap does, which maps all of it, for ever, readable and
    //   writable.
    // - Besides the kernel itself only the boot loader left something in usable memory; both, and
    //   the first MiB, are kept.
    unsafe {
        FramePool::new(
            &usable[..usable_count],
            &kept[..=kept_count],
            paging::physmap_pointer,
            paging::fill_frame,
        )
    }
}
