//! Lookups of any address whatsoever: the heap says whether it owns it, and touches nothing that is
//! not Ready.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocFlags, VirtAddr, Window};
use archipelago_api::Machine;
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    BEYOND, Boot, HEAP_WINDOW, HeapMachine, KernelHeap, MORE_WINDOWS, Running, entry, physmap,
    probe_read, start_heap,
};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// The first window: less than there is memory.
const FIRST: Window = Window::new(HEAP_WINDOW.base, 16 << 20);

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAP, &[FIRST]);
    let tests = [
        Test {
            name: "an object is owned from its first byte to its last, and no more once it is freed",
            run: objects,
        },
        Test {
            name: "every corner of the address space is answered",
            run: corners,
        },
        Test {
            name: "addresses from all over the address space are answered, canonical or not",
            run: evenly_spread,
        },
        Test {
            name: "pages without memory, metadata and the rest of the kernel are not owned",
            run: not_objects,
        },
        Test {
            name: "windows at the ends of the address space serve, and are told apart",
            run: more_windows,
        },
    ];
    protocol::run(&tests, &mut running)
}

fn owns(address: usize) -> bool {
    HEAP.owns(VirtAddr::new(address))
}

fn objects(running: &mut Running) {
    for size in [1, 8, 100, 4096, 20_000, 40_000, 3 << 20] {
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        let block = HEAP.allocate(layout, AllocFlags::empty());
        let block = block.expect("there is memory").cast::<u8>();
        let first = block.addr().get();
        for address in [first, first + size / 2, first + size - 1] {
            assert!(owns(address), "{address:#x} of {size} bytes at {first:#x}");
        }
        // SAFETY: it was allocated with this layout.
        unsafe { HEAP.deallocate(block, layout) };
    }
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    assert!(!owns(FIRST.base), "every span is gone");
    running.check();
}

fn corners(running: &mut Running) {
    let live = Box::new(7_u64);
    let address = core::ptr::from_ref(&*live).addr();
    let mut foreign = 0;
    let powers = (0..usize::BITS).map(|bit| 1_usize << bit);
    let corners = powers
        .chain(BEYOND.iter().copied())
        .chain([0, FIRST.base, address]);
    for corner in corners.flat_map(|corner| [corner, corner.wrapping_neg(), !corner]) {
        for distance in [0, 1, 7, 4095, 4096, 2 << 20, 64 << 20] {
            for near in [corner.wrapping_add(distance), corner.wrapping_sub(distance)] {
                let in_window = near.wrapping_sub(FIRST.base) < FIRST.bytes;
                assert!(in_window || !owns(near), "{near:#x}");
                foreign += usize::from(!in_window);
            }
        }
    }
    assert!(foreign > 1000);
    assert!(owns(address));
    drop(live);
    running.check();
}

fn evenly_spread(running: &mut Running) {
    let live = Box::new(7_u64);
    let own = core::ptr::from_ref(&*live).addr();
    let page = !(HeapMachine::GEOMETRY.page_bytes() - 1);
    // On x86_64 an address a GiB; those that are no addresses, too, because of the bits above.
    let shift = HeapMachine::GEOMETRY.address_bits - 18;
    for number in 0..1_usize << 20 {
        let low = number << shift;
        for address in [low + 0x123, !low] {
            let same_span = address & page == own & page;
            assert_eq!(owns(address), same_span, "{address:#x}");
        }
    }
    drop(live);
    running.check();
}

fn not_objects(running: &mut Running) {
    // The heap's first pages are in use, and the last ones of its window hold metadata.
    let block = Box::new([0_u8; 100]);
    let image = (&raw const HEAP).addr();
    let stack = core::ptr::from_ref(&running).addr();
    let frame = running.memory().1.take().expect("a frame is free");
    for address in [image, stack, physmap(frame).addr()] {
        assert!(!owns(address), "{address:#x}");
        assert!(probe_read(address).is_ok(), "it is there all the same");
    }
    running.memory().1.give_back(frame);
    let end = FIRST.base + FIRST.bytes;
    let mut ready = 0;
    for page in (end - (1 << 20)..end).step_by(4096) {
        assert!(!owns(page), "{page:#x}");
        ready += usize::from(probe_read(page).is_ok());
    }
    assert!(ready > 0, "metadata lies at the window's far end");
    for page in (FIRST.base..FIRST.base + (2 << 20)).step_by(4096) {
        assert!(!owns(page) || probe_read(page).is_ok(), "{page:#x}");
    }
    drop(block);
    running.check();
}

fn more_windows(running: &mut Running) {
    for window in MORE_WINDOWS {
        HEAP.add_window(*window).expect("a good window");
        running.check();
    }
    // More than the first window has left, so that the others are used.
    let layout = Layout::from_size_align(64 << 10, 8).expect("a small size");
    let mut seen = [0; MORE_WINDOWS.len()];
    let mut last: Option<NonNull<u8>> = None;
    while let Ok(block) = HEAP.allocate(layout, AllocFlags::empty()) {
        let block = block.cast::<u8>();
        let first = block.addr().get();
        assert!(owns(first) && owns(first + layout.size() - 1), "{first:#x}");
        for (window, count) in MORE_WINDOWS.iter().zip(&mut seen) {
            *count += usize::from(first.wrapping_sub(window.base) < window.bytes);
        }
        // SAFETY: the block is larger than a pointer, aligned for one, and new.
        unsafe { block.cast().write(last) };
        last = Some(block);
    }
    running.check();
    assert!(
        seen.iter().all(|count| *count > 0),
        "blocks in the windows: {seen:?}"
    );
    for address in BEYOND.iter().copied().chain([0, 0xfff, usize::MAX]) {
        assert!(!owns(address), "{address:#x}");
    }
    while let Some(block) = last {
        // SAFETY: the word was written when the block was allocated.
        last = unsafe { block.cast().read() };
        // SAFETY: it was allocated with this layout.
        unsafe { HEAP.deallocate(block, layout) };
    }
    running.check();
}
