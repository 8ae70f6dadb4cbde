#![no_std]
#![no_main]
use archipelago::{Heap, Window};
use archipelago_size::stand_in::{Block, Silent};
use core::ptr::NonNull;
static HEAP: Heap<Block, Silent> = Heap::new();
#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: NonNull<u8>, bytes: usize) -> bool {
    HEAP.init(&[Window::new(start.addr().get(), bytes)], Block { start, bytes }).is_ok()
}
archipelago_size::exports!(HEAP);
