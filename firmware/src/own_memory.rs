//! The heap in one line.

use archipelago_api::CriticalSection;
use archipelago_api::context::Context;

use crate::{FirmwareHeap, OneBlock};

/// Declares a [`FirmwareHeap`] with so many bytes of memory of its own as the program's
/// `#[global_allocator]`.
///
/// ```no_run,standalone_crate
/// archipelago_firmware::heap!(HEAP, 32 * 1024);
///
/// fn report() {
///     let _free = HEAP.stats().free;
/// }
/// ```
///
/// There is nothing to call at start: the memory lies in `.bss`, and the heap is given it when it
/// is first used. [`CriticalSection`] masks interrupts, so the program needs an implementation of
/// the `critical-section` crate. The heap is [`OwnMemory`](crate::OwnMemory), through which the
/// methods of [`FirmwareHeap`] can be called.
///
/// A block that only the linker script knows is given to a [`FirmwareHeap`] by
/// [`init`](FirmwareHeap::init).
#[macro_export]
macro_rules! heap {
    (@static $(#[$attribute:meta])* $name:ident, $bytes:expr) => {
        $(#[$attribute])*
        static $name: $crate::OwnMemory<$crate::FirmwareHeap<$crate::CriticalSection>, { $bytes }> =
            // SAFETY: this is a static.
            unsafe { $crate::OwnMemory::new($crate::FirmwareHeap::empty()) };
    };
    ($name:ident, $bytes:expr) => {
        $crate::heap!(@static #[global_allocator] $name, $bytes);
    };
}

/// A type with the alignment of the page that [`heap!`](crate::heap!) has.
#[derive(Debug)]
#[repr(align(256))]
pub struct Page;

// SAFETY: `init` undoes its calls of `disable_interrupts`.
unsafe impl<C: Context> OneBlock for FirmwareHeap<CriticalSection<C>> {
    type Kernel = CriticalSection<C>;

    type Page = Page;

    const LEAST: usize = 1024;

    unsafe fn give(&self, start: *mut u8, bytes: usize) {
        // A block that is large enough is refused for one reason: the heap has it already.
        // SAFETY:
        // - the caller promises the block;
        // - nothing else runs in a critical section.
        let _ = unsafe { self.init(start, bytes) };
    }
}
