//! What the programs share: the four functions that a heap is measured by, a lock, and a kernel
//! that says nothing.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;

use archipelago_api::{InterruptState, Kernel, Report};

/// A heap behind a spin lock, as its users have it where it brings none.
pub type Locked<T> = spin::Mutex<T>;

/// A kernel without interrupts, which stops by going on for ever: formatting a report, or masking
/// interrupts, is not the heap's.
#[derive(Debug)]
pub struct Silent;

impl Kernel for Silent {
    fn disable_interrupts() -> InterruptState {
        InterruptState::Masked
    }

    fn restore_interrupts(_: InterruptState) {}

    fn interrupts_enabled() -> bool {
        false
    }

    fn stop(_: &Report) -> ! {
        halt()
    }
}

/// No heap at all, for what links the `alloc` crate and never calls it.
struct Nothing;

// SAFETY: it hands out no memory.
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
    reason = "what a kernel does then is not the heap's, and must not be measured"
)]
fn halt() -> ! {
    loop {}
}

/// The layout of these parts, which are those of a layout.
///
/// # Safety
/// They are.
#[must_use]
pub unsafe fn layout(size: usize, align: usize) -> Layout {
    // SAFETY: the caller's promise.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

/// Exports the functions of a heap that is a `GlobalAlloc`.
#[macro_export]
macro_rules! exports {
    ($heap:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn alloc(size: usize, align: usize) -> *mut u8 {
            // SAFETY: callers pass the parts of a layout, here and below.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: the caller's promise is that of `GlobalAlloc`, here and below.
            unsafe { ::core::alloc::GlobalAlloc::alloc(&$heap, layout) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn alloc_zeroed(size: usize, align: usize) -> *mut u8 {
            // SAFETY: as in `alloc`.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: as in `alloc`.
            unsafe { ::core::alloc::GlobalAlloc::alloc_zeroed(&$heap, layout) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn dealloc(pointer: *mut u8, size: usize, align: usize) {
            // SAFETY: as in `alloc`.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: as in `alloc`.
            unsafe { ::core::alloc::GlobalAlloc::dealloc(&$heap, pointer, layout) };
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn realloc(
            pointer: *mut u8,
            size: usize,
            align: usize,
            new_size: usize,
        ) -> *mut u8 {
            // SAFETY: as in `alloc`.
            let layout = unsafe { $crate::layout(size, align) };
            // SAFETY: as in `alloc`.
            unsafe { ::core::alloc::GlobalAlloc::realloc(&$heap, pointer, layout, new_size) }
        }
    };
}
