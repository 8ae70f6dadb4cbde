//! Measures requests for objects: instructions of an allocation and a free, and of a free in a heap
//! of many free blocks. `talc` and `linked_list_allocator` serve the same requests in the same
//! kernel. With the word `metadata=MACHINE` on the command line, measures the metadata that one
//! object costs, instead; with the word `own`, the heap's requests alone.
#![no_std]
#![no_main]

extern crate alloc;

mod pairs;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use archipelago::Purpose;
use archipelago_qemu::{
    Boot, HEAP_WINDOW, KernelHeap, Running, Verdict, count_instructions, entry, exit, println,
    start_heap,
};
use linked_list_allocator::Heap as LinkedList;
use spin::Mutex;
use talc::DefaultBinning;
use talc::base::Talc;
use talc::source::Manual;

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// Memory that a peer has.
const PEER_BYTES: usize = 160 << 20;

/// An allocator that is measured, with its lock.
trait Subject {
    const NAME: &'static str;
    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>>;
    fn free(&self, pointer: NonNull<u8>, layout: Layout);
}

/// The heap that is measured.
struct Own(&'static KernelHeap);

impl Subject for Own {
    const NAME: &'static str = if cfg!(feature = "heap-bits") {
        "with~heap-bits"
    } else {
        "archipelago"
    };

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: no layout that is measured has size zero.
        NonNull::new(unsafe { self.0.alloc(layout) })
    }

    fn free(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the measured code frees each block that it allocated once, with the block's
        // layout.
        unsafe { self.0.dealloc(pointer.as_ptr(), layout) };
    }
}

impl Subject for Mutex<Talc<Manual, DefaultBinning>> {
    const NAME: &'static str = "talc";

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: no layout that is measured has size zero.
        unsafe { self.lock().allocate(layout) }
    }

    fn free(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the measured code frees each block that it allocated once, with the block's
        // layout.
        unsafe { self.lock().deallocate(pointer.as_ptr(), layout) };
    }
}

impl Subject for Mutex<LinkedList> {
    const NAME: &'static str = "linked_list";

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.lock().allocate_first_fit(layout).ok()
    }

    fn free(&self, pointer: NonNull<u8>, layout: Layout) {
        // SAFETY: the measured code frees each block that it allocated once, with the block's
        // layout.
        unsafe { self.lock().deallocate(pointer, layout) };
    }
}

fn main(boot: Boot) -> ! {
    let running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    if let Some(machine) = running.info.value("metadata") {
        measure_metadata(&running, machine);
        exit(Verdict::Pass)
    }
    let heap = Own(running.heap);
    measure_requests(&heap);
    measure_reallocations(running.heap);
    if running.info.has_word("own") {
        running.check();
        pairs::measure(&running);
        exit(Verdict::Pass)
    }
    for pairs in [1_000, 5_000, 50_000, 500_000] {
        measure_frees(&heap, pairs);
    }
    running.check();
    // Last, because other heaps take frames that the account does not know of.
    pairs::measure(&running);

    // One block serves the peers one after the other.
    let block = Layout::from_size_align(PEER_BYTES, 4096).expect("a valid layout");
    let memory = heap.allocate(block).expect("memory for the peers");
    let mut talc = Talc::new(Manual);
    // SAFETY: the block is live, and talc's as long as it is used.
    unsafe { talc.claim(memory.as_ptr(), PEER_BYTES) }.expect("a block is large enough");
    let talc = Mutex::new(talc);
    measure_requests(&talc);
    for pairs in [1_000, 5_000, 50_000, 500_000] {
        measure_frees(&talc, pairs);
    }

    // SAFETY:
    // - The block is live, and talc is not used any more.
    // - Nothing else uses the block.
    let list = Mutex::new(unsafe { LinkedList::new(memory.as_ptr(), PEER_BYTES) });
    measure_requests(&list);
    // Ten times as many pairs take it a hundred times as long.
    for pairs in [1_000, 5_000] {
        measure_frees(&list, pairs);
    }
    exit(Verdict::Pass)
}

/// The first object's metadata, the static included.
fn measure_metadata(running: &Running, machine: &str) {
    let object = Own(running.heap).allocate(Layout::new::<u64>());
    assert!(object.is_some(), "there is memory");
    let stats = running.heap.stats();
    let fixed = size_of::<KernelHeap>();
    println!("figure metadata {machine}~kernel static {fixed}");
    let mut total = fixed;
    for purpose in Purpose::ALL {
        if matches!(
            purpose,
            Purpose::Objects | Purpose::Free | Purpose::Reserve | Purpose::Runs
        ) {
            continue;
        }
        let bytes = stats.of(*purpose);
        total += bytes;
        println!(
            "figure metadata {machine}~kernel {} {bytes}",
            OneWord(purpose.name())
        );
    }
    println!("figure metadata {machine}~kernel total {total}");
}

/// A name with its spaces written as `~`, as a figure's line wants it.
struct OneWord(&'static str);

impl core::fmt::Display for OneWord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (number, word) in self.0.split(' ').enumerate() {
            if number > 0 {
                f.write_str("~")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// Instructions of one request where memory is at hand, and of one of many where it has to be
/// found.
fn measure_requests<S: Subject>(subject: &S) {
    const ROUNDS: u64 = 1_000;
    let (nothing, ()) = count_instructions(|| ());
    for size in [8, 64, 200, 1024, 4096, 16 << 10, 100 << 10] {
        let layout = Layout::from_size_align(size, 8).expect("a valid layout");
        let allocate = || subject.allocate(layout).expect("memory");
        let neighbours = [allocate(), allocate()];
        let (mut allocating, mut freeing) = (0, 0);
        for _ in 0..ROUNDS {
            let (instructions, object) = count_instructions(allocate);
            allocating += instructions - nothing;
            let (instructions, ()) = count_instructions(|| subject.free(object, layout));
            freeing += instructions - nothing;
        }
        for object in neighbours {
            subject.free(object, layout);
        }
        println!(
            "figure objects allocate,{size} {} {}",
            S::NAME,
            allocating / ROUNDS
        );
        println!(
            "figure objects free,{size} {} {}",
            S::NAME,
            freeing / ROUNDS
        );
    }
}

/// Instructions of a reallocation: in place, within the class, and to a class or a run of its own,
/// where memory is at hand.
fn measure_reallocations(heap: &'static KernelHeap) {
    const ROUNDS: u64 = 1_000;
    let (nothing, ()) = count_instructions(|| ());
    for (size, new_size) in [(64, 60), (64, 200), (100 << 10, 90 << 10)] {
        let layout = Layout::from_size_align(size, 8).expect("a valid layout");
        let larger = Layout::from_size_align(new_size, 8).expect("a valid layout");
        let allocate = |layout| Own(heap).allocate(layout).expect("memory");
        let neighbours = [layout, larger].map(|layout| (allocate(layout), layout));
        let mut reallocating = 0;
        for _ in 0..ROUNDS {
            let object = allocate(layout);
            let (instructions, object) = count_instructions(|| {
                // SAFETY: the object is live, and has this layout.
                NonNull::new(unsafe { heap.realloc(object.as_ptr(), layout, new_size) })
            });
            reallocating += instructions - nothing;
            Own(heap).free(object.expect("memory"), larger);
        }
        for (object, layout) in neighbours {
            Own(heap).free(object, layout);
        }
        println!(
            "figure objects reallocate,{size}~to~{new_size} {} {}",
            Own::NAME,
            reallocating / ROUNDS
        );
    }
}

/// Frees every other of `2 * pairs` blocks of 64 bytes, then the rest: instructions of one free on
/// the average. The allocations are counted too.
fn measure_frees<S: Subject>(subject: &S, pairs: usize) {
    let layout = Layout::from_size_align(64, 8).expect("a valid layout");
    let mut blocks = Vec::with_capacity(2 * pairs);
    let (allocating, ()) = count_instructions(|| {
        blocks.extend((0..2 * pairs).map_while(|_| subject.allocate(layout)));
    });
    assert_eq!(blocks.len(), 2 * pairs, "there is memory");
    let (freeing, ()) = count_instructions(|| {
        for odd in [0, 1] {
            for block in blocks.iter().skip(odd).step_by(2) {
                subject.free(*block, layout);
            }
        }
    });
    let each = |instructions: u64| instructions / (2 * pairs as u64);
    println!("figure frees free,{pairs} {} {}", S::NAME, each(freeing));
    println!(
        "figure frees allocate,{pairs} {} {}",
        S::NAME,
        each(allocating)
    );
}
