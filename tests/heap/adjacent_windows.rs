//! Windows that lie side by side are one piece of address space: objects reach from one into the
//! next.

use core::alloc::Layout;

use archipelago::{AllocFlags, Heap, Window};
use archipelago_sim::{Hosted, Sim, SimGeometry};

const MIB: usize = 1 << 20;

/// Two windows of 12 MiB that touch, given in either order, serve an object that neither can hold.
fn across<G: SimGeometry>(base: usize, windows: &[Window; 2]) {
    let heap: Box<Heap<Sim<G>, Hosted>> = Box::default();
    let metadata = Window::for_metadata(base + 64 * MIB, 4 * MIB);
    heap.init(&[metadata, windows[0]], Sim::builder().build())
        .unwrap();
    heap.add_window(windows[1]).unwrap();
    let layout = Layout::from_size_align(20 * MIB, 8).unwrap();
    let memory = heap.allocate(layout, AllocFlags::ZEROED).unwrap();
    // SAFETY: the object is that long, and belongs to this test.
    unsafe { memory.cast::<u8>().write_bytes(0x5a, 20 * MIB) };
    heap.verify().unwrap();
    // SAFETY: allocated above with this layout.
    unsafe { heap.deallocate(memory.cast(), layout) };
    heap.verify().unwrap();
}

fn in_both_orders<G: SimGeometry>(base: usize) {
    let low = Window::new(base, 12 * MIB);
    let high = Window::new(base + 12 * MIB, 12 * MIB);
    across::<G>(base, &[low, high]);
    across::<G>(base, &[high, low]);
}

#[test]
fn an_object_reaches_from_one_window_into_the_next() {
    #[cfg(target_pointer_width = "64")]
    in_both_orders::<archipelago_sim::X86_64>(0xffff_9000_0000_0000);
    in_both_orders::<archipelago_sim::Plain32>(0x8000_0000);
}
