#![no_std]
#![no_main]
use archipelago_firmware::FirmwareHeap;
use archipelago_size::stand_in::Silent;
static HEAP: FirmwareHeap<Silent> = FirmwareHeap::empty();
#[unsafe(no_mangle)]
unsafe extern "C" fn init(start: *mut u8, bytes: usize) -> bool {
    unsafe { HEAP.init(start, bytes) }.is_ok()
}
archipelago_size::exports!(HEAP);
