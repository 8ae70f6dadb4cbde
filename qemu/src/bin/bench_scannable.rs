//! Measures scannable objects: instructions of an allocation and a free, beside those of an object
//! that is not described, and of walking their bitmap. With the feature `flat-bits`, over one flat
//! bitmap of the window.
#![no_std]
#![no_main]

extern crate alloc;
#[cfg(feature = "flat-bits")]
extern crate archipelago_inside as archipelago;

use alloc::vec::Vec;
use core::alloc::Layout;
use core::hint::black_box;
use core::ptr::NonNull;

use archipelago::bits::{Description, HeapBits, PointerMap, Tables};
use archipelago::{AllocFlags, Heap, VirtAddr};
use archipelago_api::kernels::Cpus;
use archipelago_api::{CpuId, Kernel};
use archipelago_qemu::{
    Boot, HEAP_WINDOW, HeapMachine, KernelHeap, MultiCpu, Running, SECOND_WINDOW, Verdict,
    count_instructions, entry, exit, machine, println, start_heap,
};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// A CPU that owns no spans. Scannable objects lie in central spans, and so do those that they are
/// compared with, in one heap.
enum Shared {}

impl Cpus for Shared {
    const SEVERAL: bool = false;

    fn current_cpu() -> CpuId {
        CpuId(0)
    }
}

static PLAIN: Heap<HeapMachine, MultiCpu<Shared>> = Heap::new();

const WORD: usize = size_of::<usize>();

/// The bitmap, as figures call it.
const BITMAP: &str = if cfg!(feature = "flat-bits") {
    "flat"
} else {
    "sparse"
};

/// Words of the longest value that a bound is for.
const MOST_WORDS: usize = 64;

/// Objects of one size, which are walked.
const OBJECTS: usize = 1 << 15;

fn main(boot: Boot) -> ! {
    let running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    // Below all that is walked, which has no holes then.
    let mut live = Vec::with_capacity(OBJECTS);
    for words in [2, 8, 60, 64] {
        measure_requests(words, &mut live);
        measure_walks(words, &live);
        for object in live.drain(..) {
            free(object, words);
        }
    }
    running.check();
    if BITMAP == "sparse" {
        // Last, since the frames of another heap are in no account.
        measure_maps(&running);
    }
    exit(Verdict::Pass)
}

/// The layout of so many words.
fn layout(words: usize) -> Layout {
    Layout::array::<usize>(words).expect("a valid layout")
}

/// A map of so many words, all of them pointers.
fn map(words: usize) -> PointerMap<'static> {
    PointerMap::from_mask(words, u128::MAX >> (u128::BITS as usize - words))
}

#[inline(never)]
fn plain(layout: Layout) -> NonNull<[u8]> {
    let memory = PLAIN.allocate(layout, AllocFlags::empty());
    memory.expect("memory")
}

#[inline(never)]
fn scannable(layout: Layout, object: &Description<'_>) -> NonNull<[u8]> {
    let memory = HEAP.allocate_scannable(layout, object, AllocFlags::empty());
    memory.expect("memory")
}

#[inline(never)]
fn described(layout: Layout, object: &Description<'_>) -> NonNull<[u8]> {
    let memory = PLAIN.allocate_scannable(layout, object, AllocFlags::empty());
    memory.expect("memory")
}

fn free(object: NonNull<u8>, words: usize) {
    free_in(&HEAP, object, words);
}

fn free_in<K: Kernel>(heap: &Heap<HeapMachine, K>, object: NonNull<u8>, words: usize) {
    // SAFETY: everything here is allocated with the layout of its words, and freed once.
    unsafe { heap.deallocate(object, layout(words)) };
}

/// The slot that an object lies in, of its span.
fn slot_in<K: Kernel>(heap: &Heap<HeapMachine, K>, object: NonNull<[u8]>) -> usize {
    let address = VirtAddr::new(object.cast::<u8>().addr().get());
    heap.object_at(address).expect("a live object").slot
}

/// Measures how many instructions a scannable allocation takes more than a plain one of the same
/// layout, in the same slot of an existing span, for every number of words that fits a size class.
fn measure_maps(running: &Running) {
    let machine = machine(running.shared_memory());
    let started = PLAIN.init(&[SECOND_WINDOW], machine);
    started.expect("the window is free");
    let mut beyond = Beyond::default();
    for words in 1..=MOST_WORDS {
        let description = map(words);
        let description = Description::one(&description);
        let without = slots(&PLAIN, words, || plain(layout(words)));
        let with = slots(&PLAIN, words, || described(layout(words), &description));
        assert_eq!(without.costs.len(), with.costs.len(), "spans of a class");
        beyond.add(&without, &with);
        let following = class_words(words + 1);
        if words == MOST_WORDS || following != with.class_words {
            beyond.print(with.class_words);
            beyond = Beyond::default();
        }
    }
}

/// The instructions for the maps of one class.
#[derive(Default)]
struct Beyond {
    plain: u64,
    scannable: u64,
    count: u64,
    /// The most that one object took beyond another in the same slot.
    worst: i128,
}

impl Beyond {
    fn add(&mut self, plain: &Slots, scannable: &Slots) {
        for (without, with) in plain.costs.iter().zip(&scannable.costs) {
            self.plain += without;
            self.scannable += with;
            self.count += 1;
            self.worst = self.worst.max(difference(*with, *without));
        }
    }

    fn print(&self, words: usize) {
        println!(
            "figure maps {words}~words plain {}",
            self.plain / self.count
        );
        println!(
            "figure maps {words}~words scannable {}",
            self.scannable / self.count
        );
        let mean = difference(self.scannable * 10, self.plain * 10) / i128::from(self.count);
        println!(
            "figure maps {words}~words mean {}.{}",
            mean / 10,
            mean.abs() % 10
        );
        println!("figure maps {words}~words worst {}", self.worst);
    }
}

fn difference(more: u64, less: u64) -> i128 {
    i128::from(more) - i128::from(less)
}

/// Instructions of an allocation for each slot of a span.
struct Slots {
    costs: Vec<u64>,
    class_words: usize,
}

/// The words of the class that so many words lie in.
fn class_words(words: usize) -> usize {
    let object = plain(layout(words));
    free_in(&PLAIN, object.cast(), words);
    object.len() / WORD
}

/// Allocates one object for each slot of a span, and counts. The span is there before the first
/// one: an object that was in its first slot is freed then.
fn slots<K: Kernel>(
    heap: &Heap<HeapMachine, K>,
    words: usize,
    allocate: impl Fn() -> NonNull<[u8]>,
) -> Slots {
    let (nothing, ()) = count_instructions(|| ());
    // The first two hold the span while its first slot is free.
    let held = [allocate(), allocate()];
    let slots = held.map(|object| slot_in(heap, object));
    assert_eq!(slots, [0, 1], "a span of its own");
    let class_words = held[0].len() / WORD;
    let mut costs = Vec::with_capacity(1024);
    let mut live = Vec::with_capacity(1024);
    let count = |live: &mut Vec<NonNull<u8>>| {
        let (instructions, object) = count_instructions(&allocate);
        live.push(object.cast());
        (slot_in(heap, object), instructions - nothing)
    };
    for (slot, object) in held.into_iter().enumerate() {
        free_in(heap, object.cast(), words);
        let (again, instructions) = count(&mut live);
        assert_eq!(again, slot, "the lowest slot is taken first");
        costs.push(instructions);
    }
    loop {
        let (slot, instructions) = count(&mut live);
        if slot == 0 {
            break;
        }
        costs.push(instructions);
    }
    for object in live {
        free_in(heap, object, words);
    }
    Slots { costs, class_words }
}

/// Instructions of an allocation and of a free, on the average over whole spans. Fills `live`.
fn measure_requests(words: usize, live: &mut Vec<NonNull<u8>>) {
    let (nothing, ()) = count_instructions(|| ());
    let description = map(words);
    let description = Description::one(&description);
    let layout = layout(words);
    let allocate = || scannable(layout, &description).cast();
    live.extend((0..OBJECTS).map(|_| allocate()));
    let (mut freeing, mut allocating) = (0, 0);
    // The spans are all there now: each slot is freed and taken again.
    for object in live {
        let (instructions, ()) = count_instructions(|| free(*object, words));
        freeing += instructions - nothing;
        let (instructions, another) = count_instructions(allocate);
        allocating += instructions - nothing;
        *object = another;
    }
    print_walk("allocate", words, allocating, OBJECTS as u64);
    print_walk("free", words, freeing, OBJECTS as u64);
}

/// Instructions of walking the bitmap: object by object, and word by word.
fn measure_walks(words: usize, objects: &[NonNull<u8>]) {
    let mut found = 0_u64;
    let (instructions, ()) = count_instructions(|| {
        HEAP.for_each_pointer_word(|_| found += 1);
    });
    assert_eq!(found, (words * objects.len()) as u64, "every word is found");
    print_walk("walk", words, instructions, found);

    let addresses = objects.iter().map(|object| object.addr().get());
    let first = addresses.clone().min().expect("objects");
    let last = addresses.max().expect("objects");
    let steps = (last - first) / WORD;
    let bits = HEAP.bits();
    let start = bits
        .at(VirtAddr::new(first))
        .expect("an address of the space");
    let (instructions, found) = count_instructions(|| step(start, steps));
    assert!(found >= words * (objects.len() - 1), "every word is found");
    print_walk("step", words, instructions, steps as u64);
}

/// The pointer words among so many, one after the other.
#[inline(never)]
fn step<T: Tables>(mut cursor: HeapBits<'_, T>, steps: usize) -> usize {
    let mut found = 0;
    for _ in 0..black_box(steps) {
        found += usize::from(cursor.entry().is_some_and(|entry| entry.pointer));
        cursor = cursor.next();
    }
    found
}

/// Prints hundredths of the instructions that were counted for `count` words or objects.
fn print_walk(what: &str, words: usize, instructions: u64, count: u64) {
    let hundredths = instructions * 100 / count;
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    println!("figure walks {what},{words} {BITMAP} {whole}.{rest:02}");
}
