//! The ends of the address space: a window up to its top and one from its bottom fill but for the
//! pages at the ends of the pointers, which no object can have, are searched, freed and filled
//! again; and lookups at every boundary are answered.
#![no_std]
#![no_main]

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocFlags, VirtAddr, Window};
use archipelago_api::Machine;
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    BOTTOM_WINDOW, Boot, FRAME_BYTES, HEAP_WINDOW, HeapMachine, KernelHeap, Running, TOP_WINDOW,
    entry, println, start_heap, usable,
};

entry!(main);

static HEAP: KernelHeap = KernelHeap::new();

/// Apart from the windows under test, so that all of their pages are for objects.
const METADATA: Window = Window::for_metadata(HEAP_WINDOW.base, 8 << 20);

/// Sizes that fill a window without waste, largest first.
const SIZES: [usize; 3] = [64 << 10, FRAME_BYTES, 8];

/// Bytes of a large object at the end of a window.
const LARGE: usize = SIZES[0];

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAP, &[METADATA, TOP_WINDOW]);
    let tests = [
        Test {
            name: "a window up to the top fills but for its last page, and fills again once freed",
            run: fill_the_top,
        },
        Test {
            name: "one object can have it, and free pages at its end are found",
            run: search_the_top,
        },
        Test {
            name: "a window from the bottom of the space on fills, but for the page at address 0",
            run: fill_the_bottom,
        },
    ];
    protocol::run(&tests, &mut running)
}

fn owns(address: usize) -> bool {
    HEAP.owns(VirtAddr::new(address))
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a size far below the top")
}

fn allocate(bytes: usize) -> Option<NonNull<u8>> {
    let block = HEAP.allocate(layout(bytes), AllocFlags::empty());
    block.ok().map(NonNull::cast)
}

#[track_caller]
fn allocate_at(bytes: usize, address: usize) -> NonNull<u8> {
    let block = allocate(bytes).expect("there is room");
    assert_eq!(block.addr().get(), address, "of {bytes} bytes");
    block
}

fn free(block: NonNull<u8>, bytes: usize) {
    // SAFETY: each test frees the blocks that it allocated once, with their layout.
    unsafe { HEAP.deallocate(block, layout(bytes)) };
}

/// Blocks of one size, the list of them kept in the blocks themselves.
struct Blocks {
    bytes: usize,
    last: Option<NonNull<u8>>,
    count: usize,
}

impl Blocks {
    /// Allocates as many as there are.
    fn all(bytes: usize) -> Self {
        let (mut last, mut count) = (None, 0);
        while let Some(block) = allocate(bytes) {
            // SAFETY: the block is large enough for a pointer, aligned for one, and new.
            unsafe { block.cast::<Option<NonNull<u8>>>().write(last) };
            last = Some(block);
            count += 1;
        }
        Self { bytes, last, count }
    }

    fn free(mut self) {
        while let Some(block) = self.last {
            // SAFETY: `all` wrote the word, and nothing has written to it since.
            self.last = unsafe { block.cast().read() };
            free(block, self.bytes);
        }
    }
}

/// Fills all free memory, checks that it is all of `windows`, and frees it. Returns how many blocks
/// of each size that took.
fn fill(running: &Running, windows: &[Window]) -> [usize; SIZES.len()] {
    let blocks = SIZES.map(Blocks::all);
    let counts = [0, 1, 2].map(|size| blocks[size].count);
    running.check();
    let stats = HEAP.stats();
    let pages: usize = windows
        .iter()
        .map(|window| usable(*window).bytes / FRAME_BYTES)
        .sum();
    assert_eq!((stats.owned_pages, stats.free_pages), (pages, 0));
    for window in windows {
        look_up(*window);
    }
    blocks.into_iter().for_each(Blocks::free);
    running.check();
    counts
}

/// Looks addresses up one below, at and above every boundary in a full window, and those around it.
fn look_up(window: Window) {
    let own = usable(window);
    let is_own = |address: usize| address.wrapping_sub(own.base) < own.bytes;
    let chunk = HeapMachine::GEOMETRY.chunk_bytes();
    let chunks = (0..=window.bytes / chunk).map(|number| number * chunk);
    let pages = [0, own.base - window.base, own.bytes, window.bytes];
    let mut seen = [0; 2];
    for offset in chunks.chain(pages) {
        let boundary = window.base.wrapping_add(offset);
        for address in [boundary.wrapping_sub(1), boundary, boundary.wrapping_add(1)] {
            assert_eq!(owns(address), is_own(address), "{address:#x}");
            seen[usize::from(is_own(address))] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 3), "{seen:?}");
    for page in (0..window.bytes).step_by(FRAME_BYTES) {
        let address = window.base + page;
        assert_eq!(owns(address), is_own(address), "{address:#x}");
    }
}

fn fill_the_top(running: &mut Running) {
    let first = fill(running, &[TOP_WINDOW]);
    println!("# blocks of {SIZES:?} bytes: {first:?}");
    assert_eq!(fill(running, &[TOP_WINDOW]), first);
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    assert_eq!(fill(running, &[TOP_WINDOW]), first);
}

fn search_the_top(running: &mut Running) {
    let own = usable(TOP_WINDOW);
    let whole = allocate_at(own.bytes, own.base);
    assert!(owns(own.base + own.bytes - 1));
    assert!(allocate(8).is_none(), "it has all there is");
    free(whole, own.bytes);

    let rest = own.bytes - LARGE;
    let low = allocate_at(rest, own.base);
    for _ in 0..2 {
        let high = allocate_at(LARGE, own.base + rest);
        assert!(allocate(LARGE).is_none());
        free(high, LARGE);
    }
    let high = allocate_at(LARGE, own.base + rest);
    free(low, rest);
    let low = allocate_at(LARGE, own.base);
    free(high, LARGE);
    free(low, LARGE);
    running.check();
}

fn fill_the_bottom(running: &mut Running) {
    HEAP.add_window(BOTTOM_WINDOW).expect("it is free");
    let first = fill(running, &[TOP_WINDOW, BOTTOM_WINDOW]);
    println!("# blocks of {SIZES:?} bytes: {first:?}");
    assert_eq!(fill(running, &[TOP_WINDOW, BOTTOM_WINDOW]), first);
}
