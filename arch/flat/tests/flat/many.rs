//! Many heaps at once, each over memory that it was handed.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_flat::{AllocFlags, FlatHeap, Shape, Small};
use archipelago_sim::Hosted;

use crate::common::Block;

/// A process: its heap, the memory that was handed to it, and its objects.
struct Process<S: Shape> {
    heap: FlatHeap<Hosted, S>,
    objects: Vec<(NonNull<u8>, Layout)>,
    // Dropped last.
    _block: Block,
}

impl<S: Shape> Process<S> {
    /// A process whose heap has `bytes` bytes in an odd place; with `beside`, metadata is not among
    /// them.
    fn start(number: usize, bytes: usize, beside: bool) -> Self {
        let metadata_bytes = if beside { bytes / 6 + 2048 } else { 0 };
        let block = Block::new(bytes + metadata_bytes, number * 40 % 4096);
        let heap = FlatHeap::empty();
        let refused = heap.allocate(Layout::new::<u64>(), AllocFlags::empty());
        assert!(refused.is_err(), "it has no memory yet");
        let metadata = block.start().wrapping_add(bytes);
        let given = if beside {
            // SAFETY: the block is the heap's, and outlives it.
            unsafe { heap.init_beside(block.start(), bytes, metadata, metadata_bytes) }
        } else {
            // SAFETY:
            // - the block can be read and written;
            // - only the machine uses it, and the heap that the machine is given to;
            // - the regions are parts of one block.
            unsafe { heap.init(block.start(), bytes) }
        };
        given.expect("a good block");
        Self {
            heap,
            objects: Vec::new(),
            _block: block,
        }
    }

    /// Allocates an object, filled with the process's own byte, or frees one.
    fn step(&mut self, number: usize, random: &mut fastrand::Rng) {
        let byte = number.to_le_bytes()[0];
        if random.u8(..) < 150 {
            let layout = Layout::from_size_align(random.usize(1..200), 8).expect("a layout");
            if let Ok(memory) = self.heap.allocate(layout, AllocFlags::empty()) {
                let pointer = memory.cast::<u8>();
                // SAFETY: the object is the process's.
                unsafe { pointer.write_bytes(byte, layout.size()) };
                self.objects.push((pointer, layout));
            }
        } else if !self.objects.is_empty() {
            let (pointer, layout) = self.objects.swap_remove(random.usize(..self.objects.len()));
            let bytes = NonNull::slice_from_raw_parts(pointer, layout.size());
            // SAFETY: written when it was allocated, and the process's.
            let bytes = unsafe { bytes.as_ref() };
            assert!(bytes.iter().all(|found| *found == byte), "{number}");
            // SAFETY:
            // - the object was allocated by this heap with this layout;
            // - nothing uses it any more.
            unsafe { self.heap.deallocate(pointer, layout) };
        }
    }
}

fn processes_live_side_by_side<S: Shape>(bytes: usize, beside: bool) {
    let (processes, steps) = if cfg!(miri) { (3, 200) } else { (60, 60_000) };
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut all: Vec<Process<S>> = (0..processes)
        .map(|number| Process::start(number, bytes, beside))
        .collect();
    for _ in 0..steps {
        let number = random.usize(..all.len());
        all[number].step(number, &mut random);
        if random.u16(..) < 20 {
            // A process ends, and another takes its place.
            all[number] = Process::start(number, bytes, beside);
        }
    }
    for (number, process) in all.iter().enumerate() {
        process.heap.verify().expect("sound");
        let range = process.heap.range().expect("it has memory");
        for (object, _) in &process.objects {
            assert!(range.contains(&object.addr().get()));
            for (other, beside) in all.iter().enumerate() {
                assert_eq!(beside.heap.contains(*object), other == number);
            }
        }
        // Where a heap was nearly full, an object may have a run of its own.
        let mut objects = 0;
        process.heap.for_each_object(|_, _| objects += 1);
        assert_eq!(objects, process.objects.len());
    }
}

#[test]
fn heaps_with_their_metadata_inside() {
    processes_live_side_by_side::<Small<17, 8>>(16_000, false);
    processes_live_side_by_side::<Small>(40_000, false);
}

#[test]
fn heaps_with_their_metadata_beside() {
    processes_live_side_by_side::<Small<20, 9>>(20_000, true);
}

/// A heap whose objects lie in the first half of a block, all of whose bytes are `UNUSED` at first,
/// and which has memory for metadata in the second half.
struct Beside {
    heap: FlatHeap<Hosted>,
    block: Block,
}

const OBJECTS: usize = 64 << 10;
const UNUSED: u8 = 0xa5;
const PAGE: Layout = Layout::new::<[u8; 1024]>();

impl Beside {
    fn new(beside: usize) -> Self {
        let block = Block::new(2 * OBJECTS, 0);
        // SAFETY: the block can be written, and nothing else uses it yet.
        unsafe { block.start().write_bytes(UNUSED, OBJECTS) };
        let metadata = block.start().wrapping_add(OBJECTS);
        let heap = FlatHeap::empty();
        // SAFETY: the block is the heap's, and outlives it.
        unsafe { heap.init_beside(block.start(), OBJECTS, metadata, beside) }.expect("good parts");
        Self { heap, block }
    }

    /// The next object of a page, which is not written to.
    fn page(&self) -> Option<NonNull<u8>> {
        let memory = self.heap.allocate(PAGE, AllocFlags::empty());
        memory.ok().map(NonNull::cast)
    }

    /// The pages for objects that something was written to.
    fn written(&self) -> Vec<NonNull<u8>> {
        let unused = u64::from_ne_bytes([UNUSED; 8]);
        let is_written = |page: &NonNull<u8>| {
            let words = page.cast::<[u64; PAGE.size() / 8]>();
            // SAFETY: the page lies in the block, aligned to a page and initialised, and no other
            // thread uses the heap.
            let found = unsafe { words.read() };
            found != [unused; PAGE.size() / 8]
        };
        let starts = (0..OBJECTS).step_by(PAGE.size());
        let pages = starts.filter_map(|start| NonNull::new(self.block.start().wrapping_add(start)));
        pages.filter(is_written).collect()
    }
}

#[test]
fn metadata_beside_that_is_large_enough_leaves_all_pages_to_objects() {
    let beside = Beside::new(16 << 10);
    let objects = core::iter::from_fn(|| beside.page()).count();
    assert_eq!(objects, OBJECTS / PAGE.size());
    assert_eq!(beside.written(), []);
    beside.heap.verify().expect("sound");
}

#[test]
fn metadata_beside_that_is_used_up_goes_on_among_objects() {
    let beside = Beside::new(3 << 10);
    // One page of the three holds the machine's states of granules.
    let metadata = || beside.heap.stats().metadata() - 2 * PAGE.size();
    let mut objects = Vec::new();
    let mut is_beside = 0;
    while beside.written().is_empty() {
        is_beside = objects.len();
        objects.push(beside.page().expect("memory"));
    }
    assert!(is_beside > 0, "metadata is beside at first");
    assert_eq!(metadata(), PAGE.size(), "the part beside is used up");
    objects.extend(core::iter::from_fn(|| beside.page()));
    let written = beside.written();
    assert_eq!(metadata(), written.len() * PAGE.size());
    assert_eq!(objects.len() + written.len(), OBJECTS / PAGE.size());
    let first = written.first().expect("metadata goes on");
    assert!(
        objects.iter().all(|object| object < first),
        "it goes on at the high end"
    );
    beside.heap.verify().expect("sound");
    for object in objects {
        // SAFETY:
        // - the object was allocated by this heap with this layout;
        // - nothing uses it any more.
        unsafe { beside.heap.deallocate(object, PAGE) };
    }
    beside.heap.verify().expect("sound");
    beside.page().expect("memory again");
}
