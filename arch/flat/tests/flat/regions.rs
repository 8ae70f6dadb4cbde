//! Regions that are not fit for a heap are refused with an error that names the conflict, and
//! regions in odd places serve to the last granule.

use core::alloc::Layout;

use crate::common::Block;
use archipelago::{Cause, InitError, Purpose};
use archipelago_api::{VirtAddr, VirtRange};
use archipelago_flat::{AllocFlags, Flat, FlatError, FlatHeap, Region, RegionError, Small};
use archipelago_sim::Hosted;

type Heap = FlatHeap<Hosted, Small<21, 10>, 3>;

/// A region of numbers alone, which is refused before it is accessed.
fn unreal(base: usize, bytes: usize) -> Region {
    Region::new(core::ptr::without_provenance_mut(base), bytes)
}

fn range(base: usize, bytes: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap")
}

fn refused(regions: &[Region], statics: &[VirtRange]) -> RegionError {
    let heap = Heap::empty();
    // SAFETY: a refused region is not accessed.
    let answer = unsafe { heap.init_regions(regions, statics) };
    assert_eq!(heap.range(), None, "the heap is still empty");
    let Err(FlatError::Region(error)) = answer else {
        unreachable!("{answer:?}");
    };
    error
}

#[test]
fn bad_regions_are_errors_that_name_both() {
    let (low, high) = (unreal(0x2000_0000, 0x8000), unreal(0x2000_7fff, 0x8000));
    let named = (range(0x2000_0000, 0x8000), range(0x2000_7fff, 0x8000));
    assert_eq!(
        refused(&[low, high], &[]),
        RegionError::Overlap {
            region: named.1,
            other: named.0
        }
    );
    assert_eq!(
        refused(&[high, low], &[]).to_string(),
        "region 0x20000000..=0x20007fff: it overlaps region 0x20007fff..=0x2000fffe"
    );
    let statics = [range(0x1000, 0x10), range(0x2000_7ffe, 1)];
    assert_eq!(
        refused(&[low], &statics),
        RegionError::HoldsStatics {
            region: named.0,
            statics: statics[1]
        }
    );
    assert_eq!(
        refused(&[unreal(usize::MAX - 0xfff, 0x1001)], &[]),
        RegionError::Wraps {
            base: VirtAddr::new(usize::MAX - 0xfff),
            bytes: 0x1001
        }
    );
    assert_eq!(
        refused(
            &[low.for_metadata(), unreal(0x100, 0x4000).for_metadata()],
            &[]
        ),
        RegionError::NoRegion
    );
    assert_eq!(
        refused(
            &[
                low,
                unreal(0x1000, 0x4000).for_metadata(),
                unreal(0x8000, 0x4000).for_metadata()
            ],
            &[]
        ),
        RegionError::SecondForMetadata {
            region: range(0x8000, 0x4000),
            other: range(0x1000, 0x4000)
        }
    );
    assert_eq!(refused(&[], &[]), RegionError::NoRegion);
    assert_eq!(
        refused(&[low; 4], &[]),
        RegionError::TooMany { given: 4, most: 3 }
    );
    let far = unreal(0x2100_0000, 0x8000);
    assert_eq!(
        refused(&[far, low], &[]),
        RegionError::TooFarApart {
            lowest: named.0,
            highest: range(0x2100_0000, 0x8000),
            address_bits: 21
        }
    );
}

#[test]
fn a_region_that_holds_no_page_is_too_small_wherever_it_is() {
    let granule = 1024;
    let small = [
        (0x2000_0000, 1023),
        // A page, but not a whole one of the space.
        (0x2000_0001, 2046),
        // Nothing but the page at address 0, and the last one of the address space.
        (0, 2 * granule - 1),
        (usize::MAX - 2 * granule + 2, 2 * granule - 1),
        // One page, which the bookkeeping takes.
        (0x2000_0000, granule),
        (0, 0),
    ];
    for (base, bytes) in small {
        assert_eq!(
            refused(&[unreal(base, bytes)], &[]),
            RegionError::TooSmall {
                region: range(base, bytes),
                page: granule
            }
        );
    }
}

/// The places where no object of two regions may lie: the ends of the address space.
#[test]
fn the_ends_of_the_address_space_hold_no_objects() {
    archipelago_flat::shape! {
        Everything = archipelago_flat::Geometry::small(usize::BITS, 10)
    }
    let whole = 64 << 10;
    let regions = [
        unreal(0, whole),
        unreal(usize::MAX - whole + 1, whole),
        // The states are kept in this one, so that the others need not exist.
        real_states().for_metadata(),
    ];
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    let machine = unsafe { Flat::<Everything, 3>::new(&regions, &[]) }.expect("good regions");
    let windows: Vec<_> = machine.windows().map(|(window, _)| window).collect();
    assert_eq!(windows[0], range(1024, whole - 1024));
    assert_eq!(windows[2], range(usize::MAX - whole + 1, whole - 1024));
}

fn real_states() -> Region {
    let block = Block::new(8 << 10, 0);
    let region = Region::new(block.start(), block.bytes());
    block.keep();
    region
}

#[test]
fn several_regions_of_any_size_are_used_to_the_last_granule() {
    let block = Block::new(300_000, 17);
    let at = |offset| block.start().wrapping_add(offset);
    let regions = [
        Region::new(at(200_003), 50_001),
        Region::new(at(0), 30_000),
        Region::new(at(100_000), 2_100),
    ];
    let heap = Heap::empty();
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    unsafe { heap.init_regions(&regions, &[]) }.expect("good regions");
    let page = Layout::from_size_align(1024, 1024).expect("a layout");
    let mut objects = Vec::new();
    let refused = loop {
        match heap.allocate(page, AllocFlags::empty()) {
            Ok(object) => objects.push(object.cast::<u8>()),
            Err(error) => break error,
        }
    };
    assert!(matches!(
        refused.cause,
        Cause::Window { .. } | Cause::MetadataWindow { .. }
    ));
    let stats = heap.stats();
    // Whole granules: 29 or 28, 2 or 1, 48 or 47.
    let granules = stats.mapped_ready / 1024 + stats.footprint.table_frames;
    assert!((74..=79).contains(&granules), "{stats}");
    assert_eq!(stats.of(Purpose::Objects), objects.len() * 1024);
    assert!(
        objects.len() + 8 >= granules,
        "{} of {granules}",
        objects.len()
    );
    for region in regions {
        let inside = range(region.start().addr(), region.bytes());
        let held = objects
            .iter()
            .filter(|object| inside.contains(VirtAddr::new(object.addr().get())));
        assert!(held.count() > 0, "{region:?}");
    }
    heap.verify().expect("sound");
    for object in objects {
        // SAFETY:
        // - the object was allocated by this heap with this layout;
        // - nothing uses it any more.
        unsafe { heap.deallocate(object, page) };
    }
    heap.verify().expect("sound");
    assert_eq!(heap.stats().small_objects, 0);
}

#[test]
fn a_heap_that_was_refused_its_memory_takes_other_and_no_more_after_that() {
    let block = Block::new(64 << 10, 0);
    let heap = Heap::empty();
    // SAFETY: a refused region is not accessed.
    let refused = unsafe { heap.init(block.start(), 1000) };
    assert!(matches!(
        refused,
        Err(FlatError::Region(RegionError::TooSmall { .. }))
    ));
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    unsafe { heap.init(block.start(), block.bytes()) }.expect("a good block");
    let layout = Layout::new::<[u64; 100]>();
    let object = heap.allocate(layout, AllocFlags::empty()).expect("memory");
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    let again = unsafe { heap.init(block.start(), block.bytes()) };
    assert_eq!(again, Err(FlatError::Init(InitError::AlreadyInitialised)));
    heap.verify().expect("sound");
    // SAFETY:
    // - the object was allocated by this heap with this layout;
    // - nothing uses it any more.
    unsafe { heap.deallocate(object.cast(), layout) };
    let machine = heap.heap().machine().expect("it has memory");
    let ready = machine.ready_granules() * 1024;
    assert_eq!(
        ready,
        heap.stats().mapped_ready,
        "the states are as they were"
    );
}

#[test]
fn memory_is_zeroed_once_where_the_caller_says_so() {
    let block = Block::new(64 << 10, 0);
    // SAFETY: blocks are zeroed.
    let region = unsafe { Region::new(block.start(), block.bytes()).zeroed() };
    let heap = Heap::empty();
    // SAFETY:
    // - the block can be read and written;
    // - only the machine uses it, and the heap that the machine is given to;
    // - the regions are parts of one block.
    unsafe { heap.init_regions(&[region], &[]) }.expect("a good region");
    let layout = Layout::from_size_align(20 << 10, 1).expect("a layout");
    for _ in 0..3 {
        let object = heap.allocate(layout, AllocFlags::ZEROED).expect("memory");
        // SAFETY: all of the object is initialised: it was asked for zeroed.
        let bytes = unsafe { object.as_ref() };
        assert!(bytes.iter().all(|byte| *byte == 0));
        // SAFETY: the object is ours.
        unsafe { object.cast::<u8>().write_bytes(0xa5, object.len()) };
        // SAFETY:
        // - the object was allocated by this heap with this layout;
        // - nothing uses it any more.
        unsafe { heap.deallocate(object.cast(), layout) };
        heap.heap().scavenge(usize::MAX).expect("nothing is busy");
    }
}
