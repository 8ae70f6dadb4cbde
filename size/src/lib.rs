#![no_std]
pub mod stand_in;
use core::panic::PanicInfo;
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! { loop {} }

#[macro_export]
macro_rules! exports {
    ($heap:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn alloc(size: usize, align: usize) -> *mut u8 {
            unsafe { core::alloc::GlobalAlloc::alloc(&$heap, core::alloc::Layout::from_size_align_unchecked(size, align)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn alloc_zeroed(size: usize, align: usize) -> *mut u8 {
            unsafe { core::alloc::GlobalAlloc::alloc_zeroed(&$heap, core::alloc::Layout::from_size_align_unchecked(size, align)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn dealloc(pointer: *mut u8, size: usize, align: usize) {
            unsafe { core::alloc::GlobalAlloc::dealloc(&$heap, pointer, core::alloc::Layout::from_size_align_unchecked(size, align)) }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C" fn realloc(pointer: *mut u8, size: usize, align: usize, new: usize) -> *mut u8 {
            unsafe { core::alloc::GlobalAlloc::realloc(&$heap, pointer, core::alloc::Layout::from_size_align_unchecked(size, align), new) }
        }
    };
}
