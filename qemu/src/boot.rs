//! What a kernel starts with.

use crate::info::BootInfo;
use crate::machine::{Frames, Mapper};

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

/// Names the kernel's first function, a `fn(Boot) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn kernel_main(boot: $crate::Boot) -> ! {
            let main: fn($crate::Boot) -> ! = $main;
            main(boot)
        }
    };
}
