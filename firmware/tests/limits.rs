//! The capacity of a heap of a given size, its overhead, and its refusals when it is full.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

extern crate alloc;

use alloc::collections::BTreeSet;
use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, VirtAddr};
use archipelago_firmware::{FirmwareHeap, InitError, Stats};
use archipelago_sim::Hosted;

const BYTES: usize = 64 << 10;

/// A heap over 64 KiB that are never freed, at a multiple of 4 KiB.
fn subject<const PAGE: usize>() -> FirmwareHeap<Hosted, PAGE> {
    #[repr(align(4096))]
    struct Aligned([u8; BYTES]);

    let ram = Box::leak(Box::new(Aligned([0xa5; BYTES])));
    let heap = FirmwareHeap::empty();
    // SAFETY: the memory is for the heap alone from now on, and one thread uses the heap.
    unsafe { heap.init(ram.0.as_mut_ptr(), BYTES) }.expect("a good block");
    heap
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

fn free<const PAGE: usize>(heap: &FirmwareHeap<Hosted, PAGE>, object: NonNull<u8>, layout: Layout) {
    // SAFETY: callers pass live objects with their layouts.
    unsafe { heap.deallocate(object, layout) };
}

/// Allocates objects until there is no memory.
fn fill<const PAGE: usize>(heap: &FirmwareHeap<Hosted, PAGE>, layout: Layout) -> Vec<NonNull<u8>> {
    core::iter::from_fn(|| heap.allocate(layout)).collect()
}

/// Runs a check with every size of page.
macro_rules! on_every_page_size {
    ($($check:ident),+ $(,)?) => {
        $(
            mod $check {
                #[test]
                fn with_pages_of_256_bytes() {
                    super::$check::<256>();
                }

                #[test]
                fn with_pages_of_512_bytes() {
                    super::$check::<512>();
                }

                #[test]
                fn with_pages_of_1024_bytes() {
                    super::$check::<1024>();
                }
            }
        )+
    };
}

on_every_page_size!(
    metadata_is_small,
    what_is_full_is_empty_again,
    there_are_at_most_24_classes,
    large_objects_grow_and_shrink_where_they_are,
    every_alignment_is_served,
    what_cannot_be_had_is_refused,
);

fn metadata_is_small<const PAGE: usize>() {
    let heap = subject::<PAGE>();
    let fresh = heap.stats();
    assert_eq!(fresh.used, 0);
    assert_eq!(fresh.largest, fresh.free);
    let overhead = BYTES - fresh.free;
    assert!(
        overhead * 100 <= BYTES * 6,
        "{overhead} bytes of a fresh heap"
    );
    let objects = fill(&heap, layout(32, 4)).len();
    let overhead = BYTES - objects * 32;
    assert!(
        overhead * 100 <= BYTES * 15,
        "{overhead} bytes beside {objects} objects"
    );
    let control_block = size_of::<FirmwareHeap<Hosted, PAGE>>();
    assert!(
        control_block <= 512,
        "{control_block} bytes of static memory"
    );
}

fn what_is_full_is_empty_again<const PAGE: usize>() {
    let heap = subject::<PAGE>();
    let fresh = heap.stats();
    for size in [8, 24, 100, 500, 3000] {
        let wanted = layout(size, 8);
        let objects = fill(&heap, wanted);
        assert!(objects.len() * size > BYTES / 3, "{size}");
        assert!(
            heap.stats().free < 2 * size.next_multiple_of(PAGE),
            "{size}"
        );
        let (odd, even): (Vec<_>, Vec<_>) = (0..objects.len()).partition(|index| index % 2 == 1);
        for index in odd.iter().chain(&even) {
            free(&heap, objects[*index], wanted);
        }
        assert_eq!((heap.stats(), heap.verify()), (fresh, Ok(())), "{size}");
    }
}

fn there_are_at_most_24_classes<const PAGE: usize>() {
    let heap = subject::<PAGE>();
    let mut classes = BTreeSet::new();
    for align in (0..10).map(|shift| 1 << shift) {
        for size in 1..=PAGE / 2 {
            let wanted = layout(size, align);
            let object = heap.allocate(wanted).expect("memory");
            let used = heap.stats().used;
            assert!(used >= size);
            if used < PAGE {
                classes.insert(used);
            }
            free(&heap, object, wanted);
        }
    }
    assert!(classes.len() <= 24, "{}: {classes:?}", classes.len());
}

fn large_objects_grow_and_shrink_where_they_are<const PAGE: usize>() {
    let heap = subject::<PAGE>();
    let [small, large] = [layout(3 * PAGE, 8), layout(9 * PAGE, 8)];
    let object = heap.allocate(small).expect("memory");
    // SAFETY: the object is live, with that layout; so below.
    let resized = |object, old, new| unsafe { heap.reallocate(object, old, new) };
    assert_eq!(resized(object, small, large), Some(object));
    assert_eq!(resized(object, large, small), Some(object));
    let neighbour = heap.allocate(small).expect("memory");
    assert_eq!(neighbour.addr().get(), object.addr().get() + 3 * PAGE);
    let moved = resized(object, small, large).expect("memory");
    assert_ne!(moved, object);
    assert_eq!(heap.verify(), Ok(()));
    assert_eq!(
        resized(moved, large, layout(BYTES, 8)),
        None,
        "it is too large"
    );
    assert_eq!(heap.stats().used, 12 * PAGE, "and what there was stays");
}

fn every_alignment_is_served<const PAGE: usize>() {
    let heap = subject::<PAGE>();
    for align in (0..13).map(|shift| 1 << shift) {
        for size in [1, 40, 200, 700, 5000] {
            let wanted = layout(size, align);
            let objects = [0; 3].map(|_| heap.allocate(wanted).expect("memory"));
            for object in objects {
                assert_eq!(object.addr().get() % align, 0, "{wanted:?}");
                free(&heap, object, wanted);
            }
        }
    }
    assert_eq!(heap.verify(), Ok(()));
}

fn what_cannot_be_had_is_refused<const PAGE: usize>() {
    let heap = subject::<PAGE>();
    let most = isize::MAX.unsigned_abs();
    for (size, align) in [
        (BYTES, 1),
        (most, 1),
        (most - 4095, 4096),
        (1, 1 << (usize::BITS - 2)),
    ] {
        assert_eq!(heap.allocate(layout(size, align)), None, "{size}, {align}");
    }
    let largest = heap.stats().largest;
    let whole = heap.allocate(layout(largest, 1)).expect("as it was said");
    assert_eq!(heap.allocate(layout(1, 1)), None);
    let full = heap.stats();
    assert_eq!((full.used, full.free, full.largest), (largest, 0, 0));
    free(&heap, whole, layout(largest, 1));
    assert_eq!(
        heap.allocate(layout(0, 64)).map(|none| none.addr().get()),
        Some(64)
    );
}

#[test]
fn a_block_is_given_once_and_has_a_page() {
    let heap = FirmwareHeap::<Hosted>::empty();
    assert_eq!(heap.stats(), Stats::default());
    assert_eq!(heap.allocate(layout(8, 8)), None, "there is no memory yet");
    let block = vec![0_u8; 2000].leak().as_mut_ptr();
    // SAFETY: the memory is for the heap alone from now on, and one thread uses the heap.
    let give = |bytes| unsafe { heap.init(block, bytes) };
    let start = VirtAddr::new(block.addr());
    let (bytes, page) = (200, 256);
    assert_eq!(give(200), Err(InitError::TooSmall { start, bytes, page }));
    let bytes = usize::MAX;
    assert_eq!(give(bytes), Err(InitError::Wraps { start, bytes }));
    assert_eq!(give(2000), Ok(()));
    assert_eq!(give(2000), Err(InitError::AlreadyInitialised));
}

#[test]
fn interrupts_are_left_as_they_were() {
    let heap = subject::<256>();
    let use_it = || {
        let object = heap.allocate(layout(40, 8)).expect("memory");
        free(&heap, object, layout(40, 8));
    };
    use_it();
    assert!(Hosted::interrupts_enabled());
    let before = Hosted::disable_interrupts();
    use_it();
    assert!(!Hosted::interrupts_enabled());
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(before) };
    // A fault is reported with interrupts enabled and the heap in order.
    let object = heap.allocate(layout(40, 8)).expect("memory");
    let wrong = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        free(&heap, object, layout(400, 8));
    }));
    assert!(wrong.is_err() && Hosted::interrupts_enabled());
    assert_eq!(heap.verify(), Ok(()));
}

#[test]
fn a_block_that_is_refused_is_named() {
    let heap = FirmwareHeap::<Hosted, 512>::empty();
    let said = |base, bytes| {
        let start = core::ptr::without_provenance_mut(base);
        // SAFETY: a block that is refused is not touched.
        let refused = unsafe { heap.init(start, bytes) };
        refused.expect_err("it is a bad block").to_string()
    };
    assert_eq!(
        said(0x2000_0000, 512),
        "the block of 512 bytes at 0x20000000 has no page of 512 bytes for objects"
    );
    // The page at address 0 is no object's, nor is one page enough beside it.
    assert_eq!(
        said(0, 1024),
        "the block of 1024 bytes at 0x0 has no page of 512 bytes for objects"
    );
    let wraps = said(usize::MAX - 1023, 2048);
    assert!(
        wraps.starts_with("the block of 0x800 bytes at 0xfff"),
        "{wraps}"
    );
    assert!(
        wraps.ends_with(" wraps past the top of the address space"),
        "{wraps}"
    );
}
