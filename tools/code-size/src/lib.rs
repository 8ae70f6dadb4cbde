//! Code that the programs share: the four functions that a heap is measured by, a lock, and a
//! kernel that prints nothing.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::panic::PanicInfo;
use core::ptr;

use archipelago_api::{InterruptState, Kernel, Report};

/// A heap guarded by a spin lock, for heaps that bring no lock of their own.
pub type Locked<T> = spin::Mutex<T>;

/// A kernel without interrupts, which stops in an endless loop: the size of a heap does not include
/// formatting a report or masking interrupts. In a program with `init` it reads the report, so that
/// the heap has to make one.
#[derive(Debug)]
pub struct Silent;

impl Kernel for Silent {
    fn disable_interrupts() -> InterruptState {
        InterruptState::Masked
    }

    unsafe fn restore_interrupts(_: InterruptState) {}

    fn interrupts_enabled() -> bool {
        false
    }

    fn stop(report: &Report) -> ! {
        if cfg!(whole) {
            black_box(report);
        }
        halt()
    }
}

/// A global allocator without memory, for programs that link the `alloc` crate and never call it.
struct Nothing;

// SAFETY: `alloc` always fails, so no block exists for which the other promises could be broken.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    halt()
}

#[expect(
    clippy::empty_loop,
    reason = "a loop is smaller than anything else that a kernel could do here"
)]
fn halt() -> ! {
    loop {}
}

/// The layout with this size and alignment.
///
/// # Safety
/// The size and the alignment are those of a valid [`Layout`].
#[must_use]
pub unsafe fn layout(size: usize, align: usize) -> Layout {
    // SAFETY:
    // - The caller passes an alignment that is a power of two and not zero.
    // - The caller passes a size that does not overflow when it is rounded up to the alignment.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

/// Exports the functions of a heap that is a `GlobalAlloc`.
#[macro_export]
macro_rules! exports {
    ($heap:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn alloc(size: usize, align: usize) -> *mut u8 {
            // SAFETY: callers of the exported functions pass the parts of a valid layout.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: callers of the exported functions keep the promises of `GlobalAlloc`.
            unsafe { ::core::alloc::GlobalAlloc::alloc(&$heap, layout) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn alloc_zeroed(size: usize, align: usize) -> *mut u8 {
            // SAFETY: callers of the exported functions pass the parts of a valid layout.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: callers of the exported functions keep the promises of `GlobalAlloc`.
            unsafe { ::core::alloc::GlobalAlloc::alloc_zeroed(&$heap, layout) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn dealloc(pointer: *mut u8, size: usize, align: usize) {
            // SAFETY: callers of the exported functions pass the parts of a valid layout.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: callers of the exported functions keep the promises of `GlobalAlloc`.
            unsafe { ::core::alloc::GlobalAlloc::dealloc(&$heap, pointer, layout) };
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn realloc(
            pointer: *mut u8,
            size: usize,
            align: usize,
            new_size: usize,
        ) -> *mut u8 {
            // SAFETY: callers of the exported functions pass the parts of a valid layout.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: callers of the exported functions keep the promises of `GlobalAlloc`.
            unsafe { ::core::alloc::GlobalAlloc::realloc(&$heap, pointer, layout, new_size) }
        }
    };
}
