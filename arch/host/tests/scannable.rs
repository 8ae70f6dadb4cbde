//! The heap bitmap in a process.

use core::alloc::Layout;

use archipelago::bits::{Description, PointerMap};
use archipelago_host::{AllocFlags, HostHeap};

#[test]
fn an_object_is_found_and_its_pointers_are_where_the_map_says() {
    const PAIR: &PointerMap<'_> = &PointerMap::from_mask(2, 0b01);
    let heap = HostHeap::with_window(64 << 20);
    for count in [1, 3, 100, 10_000] {
        let words = 2 * count;
        let layout = Layout::array::<usize>(words).expect("a layout");
        let map = Description::array(PAIR, count);
        let flags = AllocFlags::ZEROED;
        let memory = heap
            .allocate_scannable(layout, &map, flags)
            .expect("memory");
        // SAFETY: the object is as long.
        let inside = unsafe { memory.cast::<u8>().add(layout.size() / 2) };
        let object = heap.object_of(inside).expect("an object");
        assert_eq!(object.base.value(), memory.addr().get());
        let pointers: Vec<_> = heap
            .bits()
            .pointer_words(object)
            .into_iter()
            .flatten()
            .collect();
        let expected: Vec<_> = (0..count)
            .map(|pair| pair * 2 * size_of::<usize>())
            .collect();
        assert_eq!(pointers, expected);
    }
    heap.verify().expect("sound");
}
