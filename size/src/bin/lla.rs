#![no_std]
#![no_main]
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
struct L(spin::Mutex<linked_list_allocator::Heap>);
static HEAP: L = L(spin::Mutex::new(linked_list_allocator::Heap::empty()));
unsafe impl GlobalAlloc for L {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 { self.0.lock().allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr) }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) { unsafe { self.0.lock().deallocate(NonNull::new_unchecked(p), layout) } }
}
#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) { unsafe { HEAP.0.lock().init(start, bytes) } }
archipelago_size::exports!(HEAP);
