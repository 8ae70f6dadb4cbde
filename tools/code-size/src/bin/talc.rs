//! `talc`, with the lock type that the crate brings.
#![no_std]
#![no_main]

use talc::TalcLock;
use talc::source::Manual;

static HEAP: TalcLock<spin::Mutex<()>, Manual> = TalcLock::new(Manual);

#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller gives the bytes to the heap, and nothing else uses them.
    unsafe { HEAP.lock().claim(start, bytes) }.is_some()
}

archipelago_code_size::exports!(HEAP);
