//! Scannable objects on the machine's memory: types of all kinds are laid out, the bitmap is walked
//! in every way, and each word is compared with the compiler's layout. With `way=NAME` on the
//! command line the kernel must fail instead: that way of walking meets a wrong map.
#![no_std]
#![no_main]

mod shifted;

use archipelago::{AllocFlags, EarlyRegion, Purpose, Window};
use archipelago_api::Machine;
use archipelago_qemu::scannable::{LINKS, Live, NUMBERS, Objects, SHAPES, SPARSE, Shape, WORD};
use archipelago_qemu::{
    Boot, FRAME_BYTES, HeapMachine, KernelHeap, Running, SCANNABLE_PLACES, ScannablePlace, Verdict,
    entry, exit, println, protocol, start_heap, usable,
};

entry!(main);

/// A heap for each place.
static HEAPS: [KernelHeap; SCANNABLE_PLACES.len()] =
    [const { KernelHeap::new() }; SCANNABLE_PLACES.len()];

/// The allocator of the records that the tests keep of objects.
#[global_allocator]
static RECORDS: KernelHeap = KernelHeap::with_early(&EARLY);
static EARLY: EarlyRegion<{ 128 << 10 }> = EarlyRegion::new();

/// Objects that are live at once, at most.
const MOST: usize = 1000;

/// Sizes that fill a place without waste, largest first.
const FILLING: [usize; 2] = [64 << 10, FRAME_BYTES];

/// Larger than any class, on every machine.
const LARGE: usize = 40 << 10;

/// The statement that a test proves, and the test.
type OneTest = (&'static str, fn(&mut Subject));

const TESTS: [OneTest; 7] = [
    ("objects without pointers commit no bitmap", no_pointers),
    ("types are described as the compiler laid them out", types),
    (
        "pointers lead from object to object, through all of them",
        followed,
    ),
    (
        "objects of every size class are described, and forgotten",
        classes,
    ),
    ("a long object lies across arenas, beside short ones", long),
    ("a heap that is full is described up to its last page", full),
    ("all memory of the bitmap goes back", given_back),
];

/// A heap in one of the places.
struct Subject {
    place: &'static ScannablePlace,
    running: Running,
    objects: Objects,
}

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAPS[0], SCANNABLE_PLACES[0].windows);
    if let Some(way) = shifted::chosen(&running) {
        shifted::walk(way);
    }
    protocol::plan(SCANNABLE_PLACES.len() * TESTS.len());
    let mut number = 0;
    for (place, heap) in SCANNABLE_PLACES.iter().zip(&HEAPS) {
        println!("# {}", place.name);
        if number > 0 {
            running = running.beside(heap, place.windows);
        }
        let mut subject = Subject {
            place,
            running,
            objects: Objects::new(heap, MOST, AllocFlags::empty()),
        };
        for (name, run) in TESTS {
            number += 1;
            protocol::test(number, name, || run(&mut subject));
        }
        running = subject.running;
    }
    exit(Verdict::Pass)
}

impl Subject {
    fn allocate(&mut self, shape: &'static Shape, count: usize) -> Live {
        let live = self.objects.allocate(shape, count);
        live.unwrap_or_else(|error| panic!("{count} {}: {error}", shape.name))
    }

    /// The windows for objects.
    fn windows(&self) -> &'static [Window] {
        &self.place.windows[1..]
    }

    /// Compares every word, and checks the account and every rule of the heap.
    fn compare(&mut self) {
        self.objects.compare(self.windows());
        self.running.check();
    }

    /// Frees every other object.
    fn free_half(&mut self) {
        for index in (0..self.objects.live().len()).rev().step_by(2) {
            self.objects.free(index);
        }
    }

    fn free_all(&mut self) {
        self.objects.free_all();
        self.running.check();
    }

    /// Bytes of bitmap that are charged as such.
    fn bits(&self) -> usize {
        self.running.checked_stats().of(Purpose::HeapBits)
    }

    /// Parts of the bitmap that have memory.
    fn ready_parts(&self) -> usize {
        let mut ready = 0;
        self.running
            .heap
            .for_each_bits_part(|part| ready += usize::from(part.is_ready));
        ready
    }

    fn scavenge(&self) {
        let scavenged = self.running.heap.scavenge(usize::MAX);
        scavenged.expect("nothing else uses the machine");
    }
}

fn no_pointers(subject: &mut Subject) {
    for words in [1, 3, 50, 800, 12_500] {
        subject.allocate(&NUMBERS, words);
    }
    assert_eq!((subject.bits(), subject.ready_parts()), (0, 0));
    subject.compare();
    let frames = subject.running.heap_frames();
    let first = subject.allocate(&LINKS, 1);
    assert!(first.has_pointers() && subject.ready_parts() > 0);
    let bits = subject.bits() / FRAME_BYTES;
    assert!(bits > 0 && subject.running.heap_frames() > frames + bits as u64);
    subject.free_all();
    subject.scavenge();
    assert_eq!(subject.bits(), 0);
}

fn types(subject: &mut Subject) {
    for shape in &SHAPES {
        for count in [1, 2, 3, 7, 33] {
            subject.allocate(shape, count);
        }
    }
    subject.compare();
    let shapes = SHAPES.iter().rev().chain([&NUMBERS]).cycle();
    for (index, shape) in (0..subject.objects.live().len()).step_by(3).zip(shapes) {
        subject.objects.reallocate(index, shape, 1 + index % 5);
    }
    subject.compare();
    subject.free_half();
    subject.compare();
    subject.free_all();
}

/// Marks an object and all objects that its pointers reach.
fn followed(subject: &mut Subject) {
    for (count, shape) in (1..).zip(&SHAPES) {
        subject.allocate(shape, count);
    }
    let heap = subject.running.heap;
    let bits = heap.bits();
    let mut last = subject.allocate(&SPARSE, 4).memory;
    let mut reached = 0;
    while let Some(object) = heap.object_at(Live::address_of(last)) {
        reached += 1;
        let words = bits.pointer_words(object).expect("a scannable object");
        let mut leads_to = None;
        for offset in words {
            // SAFETY: the word lies in the object, which was written with a pointer there.
            let next = unsafe { last.byte_add(offset) };
            // SAFETY: the word is in the object, aligned, and holds the pointer that was written
            // there.
            let next = unsafe { next.cast().read() };
            assert!(leads_to.is_none_or(|before| before == next), "{next:p}");
            leads_to = Some(next);
        }
        last = leads_to.expect("a pointer");
    }
    assert_eq!(reached, subject.objects.live().len());
    drop(bits);
    subject.free_all();
}

fn classes(subject: &mut Subject) {
    let mut bytes = WORD;
    let mut sizes = 0;
    let mut shapes = SHAPES.iter().cycle();
    while bytes <= LARGE {
        let first = subject.allocate(&LINKS, bytes / WORD);
        let fitting = shapes.find_map(|shape| {
            let count = shape.count_in(first.bytes)?;
            (count > 0).then_some((shape, count))
        });
        let (shape, count) = fitting.expect("one word is enough for a pointer");
        let middle = subject.objects.live().len();
        subject.allocate(shape, count);
        subject.allocate(&LINKS, 1 + first.bytes / WORD / 2);
        // Every other time its slot is free, and then another's.
        if sizes % 2 == 0 {
            subject.objects.free(middle);
        }
        sizes += 1;
        bytes = first.bytes + WORD;
    }
    println!("# {sizes} sizes");
    subject.compare();
    subject.free_half();
    subject.compare();
    for (count, shape) in (1..).zip(&SHAPES) {
        subject.allocate(shape, count);
    }
    subject.compare();
    subject.free_all();
}

fn long(subject: &mut Subject) {
    let bytes = subject.place.long;
    // No span is kept, so that the short objects lie at the low end of the windows.
    subject.scavenge();
    subject.allocate(&SPARSE, 3);
    for shape in [&LINKS, &SPARSE, &SHAPES[SHAPES.len() - 3]] {
        subject.allocate(&LINKS, 3);
        let index = subject.objects.live().len();
        let count = shape.count_in(bytes).expect("a short header");
        let live = subject.allocate(shape, count);
        subject.allocate(&SPARSE, 5);
        let across = live.boundaries();
        println!("# {live}, across {across} boundaries");
        assert!(across >= subject.place.boundaries, "{live}");
        subject.compare();
        let memory = subject
            .objects
            .live()
            .iter()
            .position(|other| other.memory == live.memory);
        subject.objects.free(memory.unwrap_or(index));
    }
    subject.free_all();
}

fn full(subject: &mut Subject) {
    for (bytes, shape) in FILLING.into_iter().zip([&SPARSE, &LINKS]) {
        let count = shape.count_in(bytes).expect("no header");
        while subject.objects.allocate(shape, count).is_ok() {}
    }
    let windows = subject.windows().iter();
    let pages = windows.map(|window| usable(*window).bytes / FRAME_BYTES);
    let stats = subject.running.checked_stats();
    println!("# {} objects", subject.objects.live().len());
    assert_eq!((stats.owned_pages, stats.free_pages), (pages.sum(), 0));
    subject.compare();
    subject.free_half();
    subject.compare();
    subject.free_all();
}

fn given_back(subject: &mut Subject) {
    let mut left = [0; 2];
    for frames in &mut left {
        for shape in &SHAPES {
            subject.allocate(shape, 20);
        }
        let reader = subject.running.heap.bits();
        let ready = subject.ready_parts();
        subject.free_all();
        subject.scavenge();
        assert_eq!(subject.bits(), 0);
        assert_eq!(subject.ready_parts(), ready, "the bitmap has a reader");
        drop(reader);
        subject.scavenge();
        let is_gone = subject.ready_parts() == 0;
        assert!(
            is_gone || !HeapMachine::DECOMMITS,
            "the bitmap has no reader"
        );
        *frames = subject.running.heap_frames();
    }
    assert_eq!(left[0], left[1]);
    let stats = subject.running.checked_stats();
    assert_eq!(stats.of(Purpose::Objects), 0);
    // Where memory is never taken back, idle bitmap waits for the next scannable objects.
    assert_eq!(stats.free_pages + stats.bitmap_pages, stats.owned_pages);
}
