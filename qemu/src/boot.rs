//! The arguments of a kernel's first function, and the macro that names it.

use crate::info::BootInfo;
use crate::machine::{Frames, Mapper};

/// The machine as a kernel finds it: boot information, page tables and frames.
#[derive(Debug)]
pub struct Boot {
    /// The boot loader's information: memory map, module, command line.
    pub info: BootInfo,
    /// The page tables in use.
    pub mapper: Mapper,
    /// Every free frame that the kernel reaches, without those of the kernel's image, the boot
    /// loader's data and the module.
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
