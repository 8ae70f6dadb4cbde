//! Regions of every small size: they serve, or the error says how large one has to be; and one that
//! is too small does not spoil the others.

use core::alloc::Layout;

use archipelago::{InitError, WindowRule};
use archipelago_flat::{AllocFlags, FlatError, FlatHeap, Region, RegionError, Shape, Small};
use archipelago_sim::Hosted;

use crate::common::Block;

/// A heap that was given the first `bytes` bytes of a block.
fn given<S: Shape>(block: &Block, bytes: usize) -> Result<FlatHeap<Hosted, S>, FlatError> {
    let heap = FlatHeap::empty();
    // SAFETY:
    // - the block can be read and written, and is at least that long;
    // - only this heap uses it, and the heap is gone before the block gets another.
    unsafe { heap.init(block.start(), bytes) }.map(|()| heap)
}

/// One byte and one page can be had of the heap at once.
fn serves<S: Shape>(heap: &FlatHeap<Hosted, S>, bytes: usize) {
    let page = S::GEOMETRY.page_bytes();
    for (size, align) in [(1, 1), (page, page)] {
        let layout = Layout::from_size_align(size, align).expect("a layout");
        if let Err(error) = heap.allocate(layout, AllocFlags::empty()) {
            panic!("{size} bytes in a region of {bytes}, pages of {page}: {error}");
        }
    }
    heap.verify().expect("sound");
}

/// Every size up to 8 KiB, in a region that begins `skip` bytes above a page.
fn every_size<S: Shape>(skip: usize) {
    let page = S::GEOMETRY.page_bytes();
    let block = Block::new(64 << 10, skip);
    let mut least = None;
    for bytes in 0..=8 << 10 {
        match given::<S>(&block, bytes) {
            Ok(heap) => {
                serves(&heap, bytes);
                least.get_or_insert(bytes);
            }
            Err(FlatError::Init(InitError::Window { rule, .. })) => {
                assert_eq!(least, None, "a smaller region serves");
                let WindowRule::NoRoomForMetadata { smallest } = rule else {
                    panic!("{bytes} bytes: {rule}");
                };
                assert!(smallest > bytes, "{smallest} bytes are not enough: {bytes}");
                let heap = given::<S>(&block, smallest).expect("it is large enough");
                serves(&heap, smallest);
                let smaller = given::<S>(&block, smallest - page);
                smaller.expect_err("no smaller region is large enough");
            }
            Err(FlatError::Region(RegionError::TooSmall {
                region,
                page: named,
            })) => {
                assert_eq!((region.bytes(), named), (bytes, page));
                assert!(bytes < 3 * page, "{bytes} bytes hold a page");
            }
            Err(error) => panic!("{bytes} bytes: {error}"),
        }
    }
    assert!(least.is_some(), "8 KiB are enough");
}

#[test]
fn a_region_of_any_size_serves_or_says_how_large_it_has_to_be() {
    for skip in [0, 1, 40] {
        every_size::<Small<17, 8>>(skip);
        every_size::<Small<21, 10>>(skip);
    }
}

/// A heap that was given `bytes` bytes for objects at the start of a block, and `metadata` bytes
/// for metadata in its second half.
fn given_beside<S: Shape>(
    block: &Block,
    [bytes, metadata]: [usize; 2],
) -> Result<FlatHeap<Hosted, S>, FlatError> {
    let heap = FlatHeap::empty();
    let second = block.start().wrapping_add(BESIDE);
    // SAFETY:
    // - the block can be read and written, and holds both parts, which do not overlap;
    // - only this heap uses it, and the heap is gone before the block gets another.
    unsafe { heap.init_beside(block.start(), bytes, second, metadata) }.map(|()| heap)
}

/// Where metadata begins in a block.
const BESIDE: usize = 32 << 10;

/// Objects and metadata of every size, both in steps of `step` bytes, in a block that begins `skip`
/// bytes above a page.
fn every_size_beside<S: Shape>(skip: usize, step: usize) {
    let page = S::GEOMETRY.page_bytes();
    let block = Block::new(2 * BESIDE, skip);
    let mut named = [0, 0];
    for bytes in (0..8 * page).step_by(step) {
        for metadata in (0..12 << 10).step_by(step) {
            follow_advice::<S>(&block, [bytes, metadata], &mut named);
        }
    }
    assert!(named.into_iter().all(|count| count > 0), "{named:?}");
}

/// Follows the advice for the parts of a block until a heap in them serves. Counts in `named` how
/// often each part was named.
fn follow_advice<S: Shape>(block: &Block, mut parts: [usize; 2], named: &mut [usize; 2]) {
    let page = S::GEOMETRY.page_bytes();
    let mut before = None;
    loop {
        let (window, rule) = match given_beside::<S>(block, parts) {
            Ok(heap) => return serves(&heap, parts[0]),
            Err(FlatError::Init(InitError::Window { window, rule })) => (window, rule),
            Err(FlatError::Region(RegionError::TooSmall { region, .. })) => {
                assert!(before.is_none() && region.bytes() < 3 * page, "{parts:?}");
                return assert!(parts.contains(&region.bytes()));
            }
            Err(error) => panic!("{parts:?} bytes: {error}"),
        };
        let WindowRule::NoRoomForMetadata { smallest } = rule else {
            panic!("{parts:?} bytes: {rule}");
        };
        let index = usize::from(window.for_metadata);
        assert!(smallest > parts[index], "{parts:?}: {smallest} bytes");
        // The states of more granules for objects take bytes of the part for metadata.
        let is_second = before == Some(0) && index == 1;
        assert!(before.is_none() || is_second, "{parts:?}: {smallest} bytes");
        let mut smaller = parts;
        smaller[index] = smallest - page;
        given_beside::<S>(block, smaller).expect_err("no smaller part would do");
        parts[index] = smallest;
        named[index] += 1;
        before = Some(index);
    }
}

#[test]
fn parts_of_any_size_serve_or_one_is_named() {
    let step = if cfg!(miri) { 1000 } else { 37 };
    for skip in [0, 40] {
        every_size_beside::<Small<17, 8>>(skip, step);
        every_size_beside::<Small<21, 10>>(skip, 4 * step);
    }
}

type Heap = FlatHeap<Hosted, Small<21, 10>, 4>;

/// The answer for regions of a block, given by where they begin and how long they are.
fn answer(block: &Block, parts: &[(usize, usize)]) -> (Heap, Result<usize, FlatError>, Vec<bool>) {
    let part = |(at, bytes)| Region::new(block.start().wrapping_add(at), bytes);
    let regions: Vec<_> = parts.iter().copied().map(part).collect();
    let heap = Heap::empty();
    // SAFETY:
    // - the block can be read and written, and the regions are parts of it;
    // - only this heap uses it, and the heap is gone before the block gets another.
    let answer = unsafe { heap.init_regions(&regions, &[]) };
    let machine = heap.heap().machine();
    let used = regions
        .iter()
        .map(|region| machine.is_some_and(|machine| machine.uses(region)));
    let used = used.collect();
    (heap, answer, used)
}

#[test]
fn a_region_that_is_too_small_is_left_out() {
    let block = Block::new(128 << 10, 0);
    let good = (64 << 10, 32 << 10);
    for small in [(0, 0), (0, 1000), (512, 1500), (100 << 10, 1023)] {
        for parts in [[small, good], [good, small]] {
            let (heap, answer, used) = answer(&block, &parts);
            assert_eq!(answer, Ok(1), "{parts:?}");
            assert_eq!(used, parts.map(|part| part == good));
            serves_page(&heap);
        }
    }
    let (heap, answer_of_four, used) = answer(&block, &[(0, 9), (2048, 5000), (9000, 9), good]);
    assert_eq!(
        (answer_of_four, used),
        (Ok(2), vec![false, true, false, true])
    );
    serves_page(&heap);
    // Two halves of a page that touch are a page.
    let (_, halves, used) = answer(&block, &[(0, 512), (512, 512), good]);
    assert_eq!((halves, used), (Ok(0), vec![true; 3]));
}

fn serves_page(heap: &Heap) {
    let page = Layout::from_size_align(1024, 1024).expect("a layout");
    heap.allocate(page, AllocFlags::empty()).expect("memory");
    heap.verify().expect("sound");
}

#[test]
fn regions_that_are_all_too_small_are_refused() {
    let block = Block::new(128 << 10, 0);
    let (heap, refused, used) = answer(&block, &[(0, 1000), (4096, 1023)]);
    assert!(
        matches!(
            refused,
            Err(FlatError::Region(RegionError::TooSmall { .. }))
        ),
        "{refused:?}"
    );
    assert_eq!((heap.range(), used), (None, vec![false, false]));
    // Nothing takes the place of a region for metadata.
    let regions = [
        Region::new(block.start(), 1000).for_metadata(),
        Region::new(block.start().wrapping_add(4096), 64 << 10),
    ];
    // SAFETY: a refused region is not accessed.
    let refused = unsafe { heap.init_regions(&regions, &[]) };
    assert!(
        matches!(
            refused,
            Err(FlatError::Region(RegionError::TooSmall { .. }))
        ),
        "{refused:?}"
    );
}
