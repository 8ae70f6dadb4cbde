//! From the entry code to the kernel's own first function.

use super::paging::PHYSMAP_BYTES;
use super::start_info::{self, StartInfo};
use super::{descriptors, paging};
use crate::boot::Boot;
use crate::boot::kernel_main;
use crate::frames::FramePool;
use crate::memory::PhysRange;
use crate::report::stop;

/// Memory below here is left to the firmware and to code that starts other CPUs.
const LOW_MEMORY: PhysRange = PhysRange {
    start: 0,
    end: 1 << 20,
};

/// The image, the boot loader's data, and low memory.
const KEPT_MAX: usize = start_info::KEPT_MAX + 2;

/// Called by the entry code, once, on the boot stack, with the physical address of the start
/// information.
pub(crate) extern "C" fn start(start_info: u32) -> ! {
    descriptors::load();
    let mapper = paging::take_over();
    // SAFETY: the entry code passes the boot loader's address on, and nothing has used memory
    // outside of the kernel's image yet.
    let start_info = match unsafe { StartInfo::read(start_info.into()) } {
        Ok(info) => info,
        Err(error) => stop(format_args!(
            "the start information cannot be used: {error}"
        )),
    };
    let info = match start_info.boot_info() {
        Ok(info) => info,
        Err(error) => stop(format_args!("{error}")),
    };
    let mut kept = [LOW_MEMORY; KEPT_MAX];
    kept[0] = paging::image();
    let kept_count = 1 + start_info.kept(&mut kept[1..]);
    // SAFETY:
    // - The physmap always maps all memory that it reaches, readable and writable.
    // - Besides the kernel itself only the boot loader left something in usable memory; both, and
    //   the first MiB, are kept.
    let frames = unsafe { FramePool::of(&info, PHYSMAP_BYTES, &kept[..=kept_count]) };
    let frames = frames.unwrap_or_else(|error| stop(format_args!("no frames: {error}")));
    kernel_main(Boot {
        info,
        mapper,
        frames,
    })
}
