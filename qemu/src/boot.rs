//! What a kernel starts with.

use crate::{BootInfo, Frames, Mapper};

/// What a kernel starts with.
#[derive(Debug)]
pub struct Boot {
    /// What the boot loader said: memory map, module, command line.
    pub info: BootInfo,
    /// The page tables in use.
    pub mapper: Mapper,
    /// Every free frame that the kernel reaches. The kernel's image, what the boot loader left and
    /// the module are not among them.
    pub frames: Frames,
}

unsafe extern "Rust" {
    /// The kernel's first function, which `entry!` names.
    pub(crate) safe fn kernel_main(boot: Boot) -> !;
}
