//! The heap as the kernel's global allocator: collections of all kinds, before and after it is
//! initialised, with every frame accounted for.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::alloc::{alloc, alloc_zeroed, dealloc, realloc};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::alloc::Layout;

use archipelago::{AllocFlags, EarlyRegion, Kernel, Machine, OwnedRun, Purpose, Stats};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    BEYOND, Boot, FRAME_BYTES, FREE_PAGE, HEAP_WINDOW, KernelHeap, OCCUPIED, Running, entry,
    println, start_heap, translate,
};

entry!(main);

static EARLY: EarlyRegion<{ 16 << 10 }> = EarlyRegion::new();

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::with_early(&EARLY);

/// The heap that the tests share, and the blocks that were allocated before it was initialised.
struct Context {
    running: Running,
    early: Option<(Box<u64>, Vec<u32>, String)>,
}

fn main(boot: Boot) -> ! {
    let early = (
        Box::new(42),
        (0..100).collect(),
        String::from("before paging"),
    );
    let running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    let tests = [
        Test {
            name: "blocks allocated before init are intact, move over and are freed",
            run: early_blocks,
        },
        Test {
            name: "collections work",
            run: collections,
        },
        Test {
            name: "layouts of every size and alignment are met",
            run: layouts,
        },
        Test {
            name: "zeroed memory is zero, though the frames are not",
            run: zeroed,
        },
        Test {
            name: "a block that is reallocated keeps its contents",
            run: reallocated,
        },
        Test {
            name: "a window is refused that overlaps, wraps or lies outside of the address space",
            run: windows,
        },
        Test {
            name: "a run of pages is aligned, keeps its contents when it is extended, and is freed",
            run: run_of_pages,
        },
        Test {
            name: "a run in adjacent frames has them, also after it was freed and scavenged",
            run: adjacent_frames,
        },
        Test {
            name: "all free memory goes back to the frame pool",
            run: given_back,
        },
    ];
    let mut context = Context {
        running,
        early: Some(early),
    };
    protocol::run(&tests, &mut context)
}

fn early_blocks(context: &mut Context) {
    let before = context.running.checked_stats().small_objects;
    assert_eq!(before, 0, "early blocks are none of the heap's");
    let (number, mut list, text) = context.early.take().expect("the early blocks");
    assert_eq!((*number, &text[..]), (42, "before paging"));
    list.extend(100..10_000);
    assert!(list.iter().copied().eq(0..10_000));
    drop((number, list, text));
    context.running.check();
}

fn collections(context: &mut Context) {
    let mut names = BTreeMap::new();
    let mut queue = VecDeque::new();
    for number in 0..5_000_u32 {
        names.insert(
            number.wrapping_mul(2_654_435_761),
            format!("number {number}"),
        );
        queue.push_back(Box::new(number));
        if number % 3 == 0 {
            queue.pop_front();
        }
    }
    context.running.check();
    for number in (0..5_000_u32).step_by(2) {
        let name = names.remove(&number.wrapping_mul(2_654_435_761));
        assert_eq!(name, Some(format!("number {number}")));
    }
    assert_eq!(names.len(), 2_500);
    assert!(queue.iter().map(|number| **number).eq(1_667..5_000));
    drop((names, queue));
    let stats = context.running.checked_stats();
    assert_eq!(stats.small_objects, 0);
}

fn layouts(context: &mut Context) {
    let sizes = [
        1,
        7,
        8,
        9,
        100,
        1024,
        4095,
        4096,
        4097,
        32 << 10,
        100_000,
        3 << 20,
    ];
    let aligns = [1, 16, 64, 4096, 8192, 2 << 20];
    for layout in sizes
        .iter()
        .flat_map(|size| aligns.map(|align| Layout::from_size_align(*size, align)))
    {
        let layout = layout.expect("a small size and a power of two");
        // SAFETY: the size is not 0.
        let block = unsafe { alloc(layout) };
        assert!(!block.is_null(), "{layout:?}");
        assert_eq!(block.addr() % layout.align(), 0, "{layout:?}");
        // SAFETY: the block is that large.
        unsafe { block.write_bytes(0x5a, layout.size()) };
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(block, layout) };
    }
    context.running.check();
}

fn zeroed(_: &mut Context) {
    for size in [24, 4096, 200_000] {
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        for round in 0..2 {
            // SAFETY: the size is not 0.
            let block = unsafe { alloc_zeroed(layout) };
            assert!(!block.is_null(), "{layout:?}");
            // SAFETY: the block is that large, and was zeroed, so it is initialised.
            let bytes = unsafe { core::slice::from_raw_parts_mut(block, size) };
            assert!(
                bytes.iter().all(|byte| *byte == 0),
                "{layout:?}, round {round}"
            );
            bytes.fill(0x5a);
            // SAFETY: it was allocated with this layout, and the slice is not used any more.
            unsafe { dealloc(block, layout) };
        }
    }
    assert!(vec![0_u64; 100_000].iter().all(|word| *word == 0));
}

fn reallocated(context: &mut Context) {
    let sizes = [
        10, 16, 17, 500, 5_000, 50_000, 500_000, 70_000, 4_000, 3, 900,
    ];
    let mut layout = Layout::from_size_align(sizes[0], 8).expect("a small size");
    // SAFETY: the size is not 0.
    let mut block = unsafe { alloc(layout) };
    assert!(!block.is_null());
    for (seed, new_size) in (1..).zip(sizes) {
        // SAFETY: the block has the layout, and the new size is neither 0 nor near the top.
        block = unsafe { realloc(block, layout, new_size) };
        assert!(!block.is_null());
        let kept = layout.size().min(new_size);
        layout = Layout::from_size_align(new_size, 8).expect("a small size");
        if seed > 1 {
            // SAFETY: the previous round filled the block, and that much of it was kept.
            let bytes = unsafe { core::slice::from_raw_parts(block, kept) };
            assert!(bytes.iter().all(|byte| *byte == seed - 1), "to {new_size}");
        }
        // SAFETY: the block is that large.
        unsafe { block.write_bytes(seed, new_size) };
    }
    // SAFETY: it was allocated with this layout.
    unsafe { dealloc(block, layout) };
    context.running.check();
}

fn windows(context: &mut Context) {
    use archipelago::{InitError, Window, WindowRule};
    let before = context.running.checked_stats();
    let refused = |base, bytes| match HEAP.add_window(Window::new(base, bytes)) {
        Err(InitError::Window { window, rule }) => {
            assert_eq!((window.base, window.bytes), (base, bytes));
            rule
        }
        other => panic!("{base:#x}, {bytes:#x} bytes: {other:?}"),
    };
    let granule = FRAME_BYTES;
    assert_eq!(refused(FREE_PAGE, 0), WindowRule::Empty);
    let misaligned = WindowRule::Misaligned { granule };
    assert_eq!(refused(FREE_PAGE + 8, granule), misaligned);
    assert_eq!(refused(FREE_PAGE, granule + 1), misaligned);
    let last = 0_usize.wrapping_sub(granule);
    assert_eq!(refused(last, 2 * granule), WindowRule::Wraps);
    for beyond in BEYOND.iter().map(|address| address & !(granule - 1)) {
        for (base, bytes) in [(beyond, granule), (beyond - granule, 2 * granule)] {
            let rule = refused(base, bytes);
            assert!(
                matches!(
                    rule,
                    WindowRule::NotCanonical | WindowRule::BeyondGeometry { .. }
                ),
                "{rule:?}"
            );
        }
    }
    let overlap = refused(HEAP_WINDOW.base + HEAP_WINDOW.bytes - granule, 2 * granule);
    assert!(
        matches!(overlap, WindowRule::Overlaps { .. }),
        "{overlap:?}"
    );
    // The kernel's own: nothing of the heap's, but not free either.
    for occupied in OCCUPIED {
        let result = HEAP.add_window(*occupied);
        assert!(
            matches!(result, Err(InitError::Reserve { .. })),
            "{result:?}"
        );
    }
    let after = context.running.checked_stats();
    assert_eq!(
        (after.reserved, after.prepared, after.owned_pages),
        (before.reserved, before.prepared, before.owned_pages)
    );
}

fn run_of_pages(context: &mut Context) {
    const PAGES: usize = 4;
    let before = context.running.checked_stats();
    assert_eq!(before.of(Purpose::Runs), 0);
    let pages = HEAP.pages();
    let page = pages.page_bytes();
    let align = 4 * page;
    // Pages that are free and were written to, for the run to be extended by.
    let mut run = pages
        .allocate(2 * PAGES, align, AllocFlags::empty())
        .expect("memory");
    fill(&mut run, 0x5a);
    run.shrink(PAGES);
    assert_eq!((run.base().value() % align, run.count()), (0, PAGES));
    fill(&mut run, 0xa5);
    let stats = context.running.checked_stats();
    assert_eq!(stats.of(Purpose::Runs), PAGES * page);

    run.extend(PAGES, AllocFlags::ZEROED)
        .expect("free pages follow");
    assert_eq!(run.bytes(), 2 * PAGES * page);
    // SAFETY: the run is Ready, this test's alone, and initialised: the test filled its first half,
    // and the heap zeroed the second.
    let bytes = unsafe { run.as_ptr().as_ref() };
    let (kept, added) = bytes.split_at(PAGES * page);
    assert!(kept.iter().all(|byte| *byte == 0xa5));
    assert!(added.iter().all(|byte| *byte == 0));
    fill(&mut run, 0x3c);
    let stats = context.running.checked_stats();
    assert_eq!(stats.of(Purpose::Runs), 2 * PAGES * page);

    drop(run);
    let after = context.running.checked_stats();
    assert_eq!(after.of(Purpose::Runs), 0);
    let used = |stats: &Stats| stats.owned_pages - stats.free_pages;
    assert_eq!(used(&after), used(&before));
}

fn adjacent_frames(context: &mut Context) {
    const PAGES: usize = 4;
    const NONE: AllocFlags = AllocFlags::empty();
    let pages = HEAP.pages();
    let page = pages.page_bytes();
    let scavenge = || {
        HEAP.scavenge(usize::MAX)
            .expect("nothing else uses the machine")
    };
    // All lower frames are in use, and the lowest free ones lie apart.
    scavenge();
    let mut apart = [(); 4 * PAGES].map(|()| pages.allocate(1, 1, NONE).ok());
    assert!(apart.iter().all(Option::is_some), "there is memory");
    apart.iter_mut().step_by(2).for_each(|run| *run = None);
    scavenge();
    let plain = pages.allocate(PAGES, 1, NONE).expect("memory");
    let memory = plain.as_ptr();
    assert!(!is_adjacent(context, memory.addr().get(), memory.len()));
    drop(plain);

    let align = 8 * page;
    for round in 0..2 {
        let run = pages.allocate_adjacent(PAGES, align, AllocFlags::ZEROED);
        let run = run.unwrap_or_else(|error| panic!("round {round}: {error}"));
        let memory = run.as_ptr();
        let base = memory.addr().get();
        let physical = run.physical().value();
        assert_eq!((base % align, physical % align as u64), (0, 0));
        assert_eq!(frame_of(context, base), physical);
        assert!(is_adjacent(context, base, memory.len()), "round {round}");
        // SAFETY: the run is Ready, this test's alone, and the heap zeroed it.
        let bytes = unsafe { &mut *memory.as_ptr() };
        assert!(bytes.iter().all(|byte| *byte == 0), "round {round}");
        bytes.fill(0x5a);
        let stats = context.running.checked_stats();
        assert_eq!(stats.of(Purpose::Runs), (2 * PAGES + PAGES) * page);
        drop(run);
        scavenge();
    }
    drop(apart);
    context.running.check();
}

/// The frame that the page tables have for a page.
fn frame_of(context: &Context, page: usize) -> u64 {
    let memory = context.running.memory();
    let translation = translate(&memory.0, page).expect("the page is Ready");
    translation.frame
}

/// Whether the frames of some pages follow one another.
fn is_adjacent(context: &Context, base: usize, bytes: usize) -> bool {
    let first = frame_of(context, base);
    (0..bytes)
        .step_by(FRAME_BYTES)
        .all(|above| frame_of(context, base + above) == first + above as u64)
}

/// Writes to every byte of a run.
fn fill<M: Machine, K: Kernel>(run: &mut OwnedRun<'_, M, K>, value: u8) {
    let memory = run.as_ptr();
    // SAFETY: the run is Ready from end to end, and borrowed exclusively.
    unsafe { memory.cast::<u8>().write_bytes(value, memory.len()) };
}

fn given_back(context: &mut Context) {
    let block = vec![1_u8; 5 << 20];
    let full = context.running.heap_frames();
    drop(block);
    let scavenged = HEAP
        .scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    let stats = context.running.checked_stats();
    println!(
        "# {scavenged} pages scavenged, {} frames left",
        context.running.heap_frames()
    );
    assert!(scavenged >= (5 << 20) / FRAME_BYTES);
    assert!(context.running.heap_frames() + (5 << 20) / FRAME_BYTES as u64 <= full);
    assert_eq!(stats.free_pages, stats.scavenged_pages);
}
