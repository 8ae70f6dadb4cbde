//! Objects that no span of their class has room for are served elsewhere: in a slot of a larger
//! class, in a shorter span, or in a run of their own.

use core::alloc::Layout;

use archipelago::{AllocFlags, Cause, Heap, Machine, OwnedRun};
use archipelago_flat::{FlatHeap, Shape, Small as FlatShape};
use archipelago_sim::{Hosted, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window};

/// Pages of the longest free run in the sweeps.
const LONGEST: usize = 12;

fn allocate<M: Machine>(heap: &Heap<M, Hosted>, layout: Layout) -> Result<Block, Cause> {
    let memory = heap.allocate(layout, AllocFlags::empty());
    let memory = memory.map_err(|error| error.cause)?;
    Ok(Block {
        pointer: memory.cast(),
        layout,
        bytes: memory.len(),
    })
}

fn free<M: Machine>(heap: &Heap<M, Hosted>, block: Block) {
    // SAFETY: the test allocated the block with its layout and uses it no more.
    unsafe { heap.deallocate(block.pointer, block.layout) };
}

/// Gives an object in a span of any class other sizes, and frees it.
fn use_up<M: Machine>(heap: &Heap<M, Hosted>, block: Block) {
    let (size, align) = (block.layout.size(), block.layout.align());
    assert!(block.bytes >= size && block.pointer.addr().get() % align == 0);
    block.fill(3);
    let small = layout(size.div_ceil(2), align);
    // SAFETY: the block is the test's, which uses what it gets for it.
    let shrunk =
        unsafe { heap.reallocate(block.pointer, block.layout, small, AllocFlags::empty()) };
    let shrunk = shrunk.expect("a shrink never fails");
    let block = Block {
        pointer: shrunk.cast(),
        layout: small,
        bytes: shrunk.len(),
    };
    assert_eq!(block.find_damage(3, small.size()), None, "{size} bytes");
    free(heap, block);
}

/// Fills a heap but for `hole` pages, which are allocated as a run. There are unused records.
fn fill_around<M: Machine>(
    heap: &Heap<M, Hosted>,
    hole: usize,
) -> (OwnedRun<'_, M, Hosted>, Vec<OwnedRun<'_, M, Hosted>>) {
    let run = |pages| heap.pages().allocate(pages, 1, AllocFlags::empty());
    let objects = [8, 24, 40].map(|size| allocate(heap, layout(size, 8)).expect("memory"));
    let hole = run(hole).expect("memory");
    // The first object stays, so that the records of the others do, too.
    objects[1..].iter().for_each(|object| free(heap, *object));
    let rest = core::iter::from_fn(|| run(1).ok()).collect();
    (hole, rest)
}

/// In a heap that is full but for a run of pages, every object that fits the run is served.
fn what_fits_the_longest_free_run_is_served<M: Machine>(heap: &Heap<M, Hosted>) {
    let page = M::GEOMETRY.page_bytes();
    let (mut hole, rest) = fill_around(heap, LONGEST);
    for pages in 1..=LONGEST {
        hole.shrink(LONGEST - pages);
        let bytes = pages * page;
        allocate(heap, layout(bytes + 1, 1)).expect_err("it is longer than the run");
        let sizes = (1..2 * page).step_by(page / 64 + 1);
        let sizes = sizes
            .chain((2 * page..bytes).step_by(page / 5))
            .chain([bytes]);
        for size in sizes.filter(|size| *size <= bytes) {
            for align in [8, 64, page] {
                let served = allocate(heap, layout(size, align)).unwrap_or_else(|cause| {
                    panic!("{size} bytes aligned to {align} in {pages} pages: {cause}")
                });
                use_up(heap, served);
            }
        }
        heap.verify().expect("sound");
    }
    drop((hole, rest));
    heap.verify().expect("sound");
}

fn a_request_that_fits_the_longest_free_run_is_served<G: SimGeometry>() {
    let window = lone_window::<G>(300 * Rig::<G>::PAGE);
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    what_fits_the_longest_free_run_is_served(&rig.heap);
    rig.check();
}

/// A flat heap in memory that is never freed.
fn flat<S: Shape>(bytes: usize) -> FlatHeap<Hosted, S> {
    let memory = vec![0_u8; bytes].leak();
    let heap = FlatHeap::empty();
    // SAFETY: the memory is the heap's, for ever.
    unsafe { heap.init(memory.as_mut_ptr(), memory.len()) }.expect("enough memory");
    heap
}

#[test]
fn a_flat_heap_serves_what_fits_its_longest_free_run() {
    what_fits_the_longest_free_run_is_served(flat::<FlatShape<17, 8>>(64 << 10).heap());
    what_fits_the_longest_free_run_is_served(flat::<FlatShape<18, 9>>(100 << 10).heap());
    what_fits_the_longest_free_run_is_served(flat::<FlatShape<21, 10>>(256 << 10).heap());
}

/// Frames for fewer pages than a span of the class has.
fn an_object_is_served_with_four_frames<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let small = rig.get(8, 8);
    rig.machine.set_available_frames(4);
    let block = rig.get(376, 8);
    rig.verify();
    rig.check();
    use_up(&rig.heap, block);
    rig.free(small);
    rig.machine.set_available_frames(usize::MAX);
    rig.verify();
    rig.check();
}

/// Where a span of the class has more pages than are free, a shorter span of a larger class holds
/// several objects, and a run of its own for each would be a waste.
fn a_shorter_span_holds_several_objects<G: SimGeometry>() {
    let window = lone_window::<G>(300 * Rig::<G>::PAGE);
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let pages = 4;
    let (hole, rest) = fill_around(&rig.heap, pages);
    drop(hole);
    // In pages of 4 KiB the span of its class has five.
    let layout = layout(376, 8);
    let blocks: Vec<_> = core::iter::from_fn(|| allocate(&rig.heap, layout).ok()).collect();
    assert!(blocks.len() >= 2 * pages, "{} objects", blocks.len());
    rig.verify();
    blocks.into_iter().for_each(|block| free(&rig.heap, block));
    drop(rest);
    rig.verify();
}

/// In a flat heap with a free run of 6 KiB, objects of 824 bytes are served until the run is used
/// up, and each of them can be freed, in any order.
#[test]
fn a_flat_heap_serves_objects_of_824_bytes_in_6_kib() {
    let heap = flat::<FlatShape<21, 10>>(64 << 10);
    let heap = heap.heap();
    let (hole, rest) = fill_around(heap, 6);
    drop(hole);
    let blocks: Vec<_> = core::iter::from_fn(|| allocate(heap, layout(824, 8)).ok()).collect();
    assert!(blocks.len() >= 5, "{} objects", blocks.len());
    heap.verify().expect("sound");
    let (odd, even): (Vec<_>, Vec<_>) = (0..).zip(blocks).partition(|(number, _)| number % 2 == 1);
    for (_, block) in odd.into_iter().chain(even) {
        use_up(heap, block);
        heap.verify().expect("sound");
    }
    let again = heap.pages().allocate(6, 1, AllocFlags::empty());
    drop((again.expect("the run is free again"), rest));
    heap.verify().expect("sound");
}

/// A slot of a larger class takes the layouts of the smaller classes, and no larger one.
fn a_loose_span_knows_which_layouts_fit<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    let window = lone_window::<G>(300 * page);
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let larger = rig.get(page / 2, 8);
    while rig
        .allocate(layout(page, page), AllocFlags::empty())
        .is_ok()
    {}
    // The only slots there are.
    let block = rig.get(8, 8);
    let base = rig.address(larger).value() / page;
    assert_eq!(
        rig.address(block).value() / page,
        base,
        "the span of the larger class"
    );
    // SAFETY: the layout is not the block's, whose report the test expects.
    let wrong = unsafe { rig.heap.try_deallocate(block.pointer, layout(page, 8)) };
    wrong.expect_err("the layout does not fit the slot");
    rig.verify();
    use_up(&rig.heap, block);
    rig.free(larger);
    rig.verify();
}

archipelago_testing::on_every_geometry!(
    a_shorter_span_holds_several_objects,
    a_loose_span_knows_which_layouts_fit,
    a_request_that_fits_the_longest_free_run_is_served,
    an_object_is_served_with_four_frames,
);
