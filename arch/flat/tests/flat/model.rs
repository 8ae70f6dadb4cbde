//! Random requests of a heap without an MMU, against a record of the requests; the statistics are
//! checked after each.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, VirtRange};
use archipelago_flat::{FlatHeap, Region, Shape, Small};
use archipelago_sim::Hosted;

use crate::common::Block;

/// An object, and the byte that fills it.
struct Object {
    memory: NonNull<u8>,
    layout: Layout,
    byte: u8,
}

struct Model<S: Shape> {
    heap: FlatHeap<Hosted, S, 3>,
    objects: Vec<Object>,
    random: fastrand::Rng,
    refused: usize,
    // Dropped last.
    _block: Block,
}

impl<S: Shape> Model<S> {
    /// A heap in three regions of one block, none of which begins or ends at a page.
    fn new(bytes: usize, seed: u64) -> Self {
        let block = Block::new(bytes, 40);
        let at = |part: usize| block.start().wrapping_add(bytes / 7 * part + part * 3);
        let long = |parts: usize| bytes / 7 * parts - 100;
        let heap = FlatHeap::empty();
        let mut regions = [
            Region::new(at(4), long(2)),
            Region::new(at(0), long(1)),
            Region::new(at(2), long(2)),
        ];
        if seed % 2 == 0 {
            // SAFETY: blocks are zeroed.
            regions = regions.map(|region| unsafe { region.zeroed() });
        }
        // SAFETY:
        // - the block can be read and written;
        // - only the machine uses it, and the heap that the machine is given to;
        // - the regions are parts of one block.
        unsafe { heap.init_regions(&regions, &[] as &[VirtRange]) }.expect("good regions");
        Self {
            heap,
            objects: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            refused: 0,
            _block: block,
        }
    }

    fn layout(&mut self) -> Layout {
        let size = match self.random.u8(..10) {
            0 => self.random.usize(1..8000),
            1..3 => self.random.usize(1..1500),
            _ => self.random.usize(1..200),
        };
        let align = 1 << self.random.u32(0..if size > 1500 { 13 } else { 7 });
        Layout::from_size_align(size, align).expect("a layout")
    }

    fn step(&mut self) {
        match self.random.u8(..16) {
            0..8 => self.allocate(),
            8..10 => self.reallocate(),
            _ => self.free(),
        }
        self.check();
    }

    fn allocate(&mut self) {
        let (layout, zeroed) = (self.layout(), self.random.bool());
        let flags = if zeroed {
            AllocFlags::ZEROED
        } else {
            AllocFlags::empty()
        };
        let Ok(memory) = self.heap.allocate(layout, flags) else {
            self.refused += 1;
            return;
        };
        let memory = memory.cast::<u8>();
        assert_eq!(memory.addr().get() % layout.align(), 0, "{layout:?}");
        if zeroed {
            assert!(holds(memory, layout.size(), 0), "{layout:?}");
        }
        let byte = self.random.u8(..);
        // SAFETY: the object is the model's.
        unsafe { memory.write_bytes(byte, layout.size()) };
        self.objects.push(Object {
            memory,
            layout,
            byte,
        });
    }

    fn reallocate(&mut self) {
        if self.objects.is_empty() {
            return;
        }
        let at = self.random.usize(..self.objects.len());
        let size = self.random.usize(1..3000);
        let Object {
            memory,
            layout,
            byte,
        } = self.objects[at];
        let new = Layout::from_size_align(size, layout.align()).expect("a layout");
        // SAFETY: allocated with this layout; its old place is not used after a success.
        let moved = unsafe {
            self.heap
                .reallocate(memory, layout, new, AllocFlags::empty())
        };
        let Ok(moved) = moved.map(NonNull::cast::<u8>) else {
            self.refused += 1;
            return;
        };
        assert!(holds(moved, layout.size().min(size), byte), "{layout:?}");
        // SAFETY: the object is the model's.
        unsafe { moved.write_bytes(byte, size) };
        self.objects[at] = Object {
            memory: moved,
            layout: new,
            byte,
        };
    }

    fn free(&mut self) {
        if self.objects.is_empty() {
            return;
        }
        let at = self.random.usize(..self.objects.len());
        let object = self.objects.swap_remove(at);
        let size = object.layout.size();
        assert!(
            holds(object.memory, size, object.byte),
            "{:?}",
            object.layout
        );
        // SAFETY:
        // - the object was allocated with this layout;
        // - nothing uses it any more.
        unsafe { self.heap.deallocate(object.memory, object.layout) };
    }

    /// The identities: the machine has as many Ready granules, counted one by one, as the heap's
    /// statistics say, and the purposes add up to that.
    fn check(&self) {
        let stats = self.heap.stats();
        let machine = self.heap.heap().machine().expect("it has memory");
        let granule = S::GEOMETRY.granule_bytes();
        assert_eq!(machine.ready_granules() * granule, stats.mapped_ready);
        assert_eq!(stats.sum(), stats.mapped_ready);
        let windows: usize = machine.windows().map(|(window, _)| window.bytes()).sum();
        let states = stats.mapped_ready + stats.prepared + stats.reserved;
        assert_eq!(states, windows);
    }
}

/// Whether `bytes` bytes, all of which were written, are `byte`.
fn holds(memory: NonNull<u8>, bytes: usize, byte: u8) -> bool {
    let bytes = NonNull::slice_from_raw_parts(memory, bytes);
    // SAFETY: the model's own object, which it has filled or was given zeroed.
    let bytes = unsafe { bytes.as_ref() };
    bytes.iter().all(|found| *found == byte)
}

fn requests_are_served_as_asked<S: Shape>() {
    let (seeds, steps) = if cfg!(miri) { (1, 60) } else { (6, 4000) };
    for seed in 0..seeds {
        let mut model = Model::<S>::new(90_000, seed);
        for step in 0..steps {
            model.step();
            if step % 64 == 0 {
                model.heap.verify().expect("sound");
            }
        }
        assert!(cfg!(miri) || model.refused > 0, "memory never ran out");
        while !model.objects.is_empty() {
            model.free();
        }
        model.check();
        model.heap.verify().expect("sound");
        let stats = model.heap.stats();
        assert_eq!(stats.small_objects, 0);
        assert_eq!(stats.scavenged_pages, 0, "nothing is given back");
    }
}

#[test]
fn in_pages_of_256() {
    requests_are_served_as_asked::<Small<18, 8>>();
}

#[test]
fn in_pages_of_512() {
    requests_are_served_as_asked::<Small<18, 9>>();
}

#[test]
fn in_pages_of_1024() {
    requests_are_served_as_asked::<Small<21, 10>>();
}
