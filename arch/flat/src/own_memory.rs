//! The heap in one line.

use archipelago_api::context::Context;
use archipelago_api::{CriticalSection, OneBlock};

use crate::{FlatHeap, Shape};

/// Declares a [`FlatHeap`] with so many bytes of memory of its own as the program's
/// `#[global_allocator]`.
///
/// ```no_run,standalone_crate
/// archipelago_flat::heap!(HEAP, 32 * 1024);
///
/// fn report() {
///     println!("{}", HEAP.stats());
/// }
/// ```
///
/// There is nothing to call at start: the memory lies in `.bss`, and the heap is given it when it
/// is first used. Its pages have 256 bytes up to 64 KiB of memory, 512 up to 256 KiB, and 1024
/// beyond. [`CriticalSection`] masks interrupts, so the program needs an implementation of the
/// `critical-section` crate. The heap is [`OwnMemory`](crate::OwnMemory), through which the methods
/// of [`FlatHeap`] can be called.
///
/// Memory that only the linker script knows, or several regions, are given to a [`FlatHeap`] by
/// [`init_regions`](FlatHeap::init_regions).
#[macro_export]
macro_rules! heap {
    (@static $(#[$attribute:meta])* $name:ident, $bytes:expr) => {
        $(#[$attribute])*
        static $name: $crate::OwnMemory<
            $crate::FlatHeap<
                $crate::CriticalSection,
                $crate::Small<{ $crate::address_bits($bytes) }, { $crate::page_shift($bytes) }>,
                1,
            >,
            { $bytes },
        > =
            // SAFETY: this is a static.
            unsafe { $crate::OwnMemory::new($crate::FlatHeap::empty()) };
    };
    ($name:ident, $bytes:expr) => {
        $crate::heap!(@static #[global_allocator] $name, $bytes);
    };
}

/// Bits of an address in a space that reaches over so many bytes, wherever they lie.
#[doc(hidden)]
#[must_use]
pub const fn address_bits(bytes: usize) -> u32 {
    bytes.next_power_of_two().trailing_zeros() + 1
}

/// log2 of the bytes of a page that suits so many bytes of memory.
#[doc(hidden)]
#[must_use]
pub const fn page_shift(bytes: usize) -> u32 {
    if bytes <= 64 << 10 {
        8
    } else if bytes <= 256 << 10 {
        9
    } else {
        10
    }
}

/// A type with the alignment of the largest page.
#[derive(Debug)]
#[repr(align(1024))]
pub struct Page;

// SAFETY: `init` undoes its calls of `disable_interrupts`.
unsafe impl<C: Context, S: Shape> OneBlock for FlatHeap<CriticalSection<C>, S, 1> {
    type Kernel = CriticalSection<C>;

    type Page = Page;

    const LEAST: usize = 8192;

    unsafe fn give(&self, start: *mut u8, bytes: usize) {
        // A block that is large enough is refused for one reason: the heap has it already.
        // SAFETY: the caller promises the block.
        let _ = unsafe { self.init(start, bytes) };
    }
}
