//! Heaps without an MMU, on the board's own RAM: the contract in every bank, several regions and
//! any number of heaps at once, memory that runs out, lookups of any address, the cost of a small
//! heap, and handlers that find the machine busy.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::{AllocFlags, VirtAddr, VirtRange};
use archipelago_api::{Machine, Patience};
use archipelago_conformance::{Contend, Subject};
use archipelago_flat::{FlatError, FlatHeap, Region, RegionError, Small};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Bank, Board, Boot, Churn, FRAME_BYTES, HEAP_WINDOW, KernelHeap, Memory, Running, SECOND_WINDOW,
    SingleCpu, enable_interrupts, entry, machine, mask_interrupts, memory_is_busy, on_timer,
    physmap, println, start_heap, start_timer, static_memory,
};
use spin::Mutex;

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

/// Handlers that allocate.
static CHURN: Mutex<Churn<KernelHeap>> = Mutex::new(Churn::new(&HEAP));

/// Interrupts that found the machine busy.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// A part of the first bank that nothing uses: the image ends below.
const FIRST_BANK_FREE: (usize, usize) = (0x30_0000, 0x40_0000);

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    let tests = [
        Test {
            name: "the contract holds in every bank",
            run: contract,
        },
        Test {
            name: "regions that hold the firmware's own statics are refused by name",
            run: statics,
        },
        Test {
            name: "one heap has regions in all banks, also after the code in the bank at address 0",
            run: several_regions,
        },
        Test {
            name: "many heaps serve at once, each in its own block",
            run: many_heaps,
        },
        Test {
            name: "a heap in 64 KiB leaves most of them to objects",
            run: footprint,
        },
        Test {
            name: "memory runs out, and freed memory is allocated again",
            run: out_of_memory,
        },
        Test {
            name: "any address whatsoever is answered",
            run: lookups,
        },
        Test {
            name: "handlers allocate in the midst of the machine",
            run: in_the_machine,
        },
    ];
    protocol::run(&tests, &mut running)
}

/// The lock that the kernel shares with its heap.
struct Lock(&'static Memory);

impl Contend for Lock {
    fn while_held(&self, act: &mut dyn FnMut()) {
        let _held = self.0.lock();
        act();
    }
}

fn contract(running: &mut Running) {
    let memory = running.shared_memory();
    let machine = machine(memory);
    for base in [0x2f_0400, FIRST_BANK_FREE.0, SECOND_WINDOW.base + 0x3_fc00] {
        let window = VirtRange::new(VirtAddr::new(base), 64 * FRAME_BYTES);
        let window = window.expect("it does not wrap");
        let mut rules = 0;
        Subject::new(&machine, window)
            .contend(&Lock(memory))
            .run(&mut |rule, outcome| {
                rules += 1;
                if let Err(found) = outcome {
                    panic!("{rule}: {found}");
                }
            });
        let bank = Bank::of(base).expect("a bank");
        println!("# {rules} rules at {base:#x}, in {}", bank.name);
    }
    running.check();
}

fn statics(_: &mut Running) {
    let [code, data] = static_memory();
    println!("# the image: {code} and {data}");
    for held in [code, data] {
        let last = held.last().expect("it is not empty");
        let region = Region::new(physmap(last.value() as u64), 64 << 10);
        let heap = FlatHeap::<SingleCpu>::empty();
        // SAFETY: the heap refuses the region before it touches it.
        let refused = unsafe { heap.init_regions(&[region], &static_memory()) };
        let Err(FlatError::Region(RegionError::HoldsStatics { statics, region })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((statics, region.base()), (held, last));
    }
}

fn several_regions(running: &mut Running) {
    static MANY: FlatHeap<SingleCpu, Board, 3> = FlatHeap::empty();
    let (start, end) = FIRST_BANK_FREE;
    let second = running.carve(100_000, 0_u8).expect("memory");
    let third = running.carve(2 << 20, 0_u8).expect("memory");
    let regions = [
        Region::new(third.as_mut_ptr(), third.len()),
        Region::new(physmap(start as u64), end - start),
        Region::new(second.as_mut_ptr(), second.len()),
    ];
    // SAFETY: the regions are this heap's from here on.
    unsafe { MANY.init_regions(&regions, &static_memory()) }.expect("good regions");
    let layout = Layout::new::<[u8; 5000]>();
    let mut blocks: Option<NonNull<Option<NonNull<u8>>>> = None;
    let mut seen = [0; 3];
    while let Ok(block) = MANY.allocate(layout, AllocFlags::empty()) {
        let address = block.cast::<u8>().addr().get();
        for (region, count) in regions.iter().zip(&mut seen) {
            let above = address.wrapping_sub(region.start().addr());
            *count += usize::from(above < region.bytes());
        }
        let block = block.cast::<Option<NonNull<u8>>>();
        // SAFETY: the block is larger than a pointer, aligned for one, and new.
        unsafe { block.write(blocks.map(NonNull::cast)) };
        blocks = Some(block);
    }
    println!("# blocks of 5000 bytes in PSRAM, SSRAM1 and SSRAM2/3: {seen:?}");
    assert!(seen.iter().all(|count| *count > 15), "{seen:?}");
    MANY.verify().expect("sound");
    while let Some(block) = blocks {
        // SAFETY: written when the block was allocated.
        blocks = unsafe { block.read() }.map(NonNull::cast);
        // SAFETY: allocated above, and not used any more.
        unsafe { MANY.deallocate(block.cast(), layout) };
    }
    MANY.verify().expect("sound");
    let stats = MANY.stats();
    assert_eq!(stats.free_pages + stats.record_pages, stats.owned_pages);
}

fn many_heaps(running: &mut Running) {
    const BYTES: usize = 24_000;
    let heaps: Vec<FlatHeap<SingleCpu, Small<17, 8>>> =
        (0..30).map(|_| FlatHeap::empty()).collect();
    for heap in &heaps {
        let block = running.carve(BYTES, 0_u8).expect("memory");
        // SAFETY: only the heap uses the block, which stays for good.
        unsafe { heap.init(block.as_mut_ptr(), block.len()) }.expect("a good block");
    }
    let layout = Layout::new::<[usize; 9]>();
    let mut objects = Vec::new();
    for round in 0..100 {
        for (number, heap) in heaps.iter().enumerate() {
            let object = heap.allocate(layout, AllocFlags::empty()).expect("memory");
            let object = object.cast::<[usize; 9]>();
            // SAFETY: the object is new, and that large.
            unsafe { object.write([number * 1000 + round; 9]) };
            objects.push((number, round, object));
        }
    }
    for (number, round, object) in objects {
        // SAFETY: written above.
        let found = unsafe { object.read() };
        assert_eq!(found, [number * 1000 + round; 9]);
        for (other, heap) in heaps.iter().enumerate() {
            assert_eq!(heap.contains(object.cast()), other == number);
        }
        // SAFETY: allocated by this heap, and not used any more.
        unsafe { heaps[number].deallocate(object.cast(), layout) };
    }
    for heap in &heaps {
        heap.verify().expect("sound");
        assert_eq!(heap.stats().small_objects, 0);
    }
    running.check();
}

fn footprint(running: &mut Running) {
    type Subject = FlatHeap<SingleCpu, Small<17, 10>>;
    static SUBJECT: Subject = Subject::empty();
    const BLOCK: usize = 64 << 10;
    let block = running.carve(BLOCK, 0_u8).expect("memory");
    // SAFETY: only the heap uses the block, which stays for good.
    unsafe { SUBJECT.init(block.as_mut_ptr(), block.len()) }.expect("a good block");
    let small = Layout::new::<[u8; 32]>();
    let first = SUBJECT.allocate(small, AllocFlags::empty());
    let mut objects = usize::from(first.is_ok());
    let fresh = SUBJECT.stats();
    while SUBJECT.allocate(small, AllocFlags::empty()).is_ok() {
        objects += 1;
    }
    let (metadata, lost) = (fresh.metadata(), BLOCK - objects * small.size());
    println!(
        "# {metadata} bytes of metadata for the first object, {lost} bytes that are no objects when \
         it is full, {} bytes beside the block",
        size_of::<Subject>()
    );
    assert!(metadata * 100 <= BLOCK * 6);
    assert!(lost * 100 <= BLOCK * 15);
    assert!(size_of::<Subject>() <= 1024);
}

fn out_of_memory(running: &mut Running) {
    let layout = Layout::new::<[u8; 2048]>();
    let mut blocks = Vec::with_capacity(2000);
    let mut filled = [0; 2];
    for count in &mut filled {
        let refused = loop {
            match HEAP.allocate(layout, AllocFlags::empty()) {
                Ok(block) => blocks.push(block.cast::<u8>()),
                Err(error) => break error,
            }
        };
        println!("# {} blocks, then: {refused}", blocks.len());
        *count = blocks.len();
        running.check();
        for block in blocks.drain(..) {
            // SAFETY: allocated above, and not used any more.
            unsafe { HEAP.deallocate(block, layout) };
        }
    }
    assert!(filled[0] * layout.size() > HEAP_WINDOW.bytes / 10 * 9);
    assert_eq!(filled[0], filled[1]);
    running.check();
}

fn lookups(running: &mut Running) {
    let live = Box::new(7_u64);
    let own = core::ptr::from_ref(&*live).addr();
    let page = !(FRAME_BYTES - 1);
    let mut foreign = 0;
    let powers = (0..usize::BITS).map(|bit| 1_usize << bit);
    let corners = powers.chain([0, HEAP_WINDOW.base, SECOND_WINDOW.base, own]);
    let corners = corners.flat_map(|corner| [corner, corner.wrapping_neg(), !corner]);
    let near = corners.flat_map(|corner| {
        let distances = [0, 1, 7, 1023, 1024, 64 << 10, 1 << 20];
        distances.map(|distance| [corner.wrapping_add(distance), corner.wrapping_sub(distance)])
    });
    // One address in every 64 KiB, too. A touch of most of them faults.
    let spread = (0..1_usize << 16).map(|number| [number << 16, !(number << 16)]);
    for address in near.chain(spread).flatten() {
        let owns = HEAP.owns(VirtAddr::new(address));
        let in_window = address.wrapping_sub(HEAP_WINDOW.base) < HEAP_WINDOW.bytes;
        assert!(in_window || !owns, "{address:#x}");
        assert!(owns || address & page != own & page, "{address:#x}");
        foreign += usize::from(!owns);
    }
    assert!(foreign > 100_000);
    drop(live);
    running.check();
}

fn handler() {
    if memory_is_busy() {
        BUSY.fetch_add(1, Ordering::Relaxed);
    }
    CHURN.lock().turn();
}

/// Takes an unused range through all states.
fn call_all(machine: &impl Machine, range: VirtRange) {
    let patience = Patience::Wait;
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(range, patience) }.expect("the range is unused");
    // SAFETY: the range is Reserved.
    unsafe { machine.prepare(range, patience) }.expect("there are no page tables");
    // SAFETY: it is Prepared.
    unsafe { machine.commit(range, patience) }.expect("the memory is there");
    // SAFETY: the range is Ready, and nothing uses it.
    unsafe { machine.release(range, patience) }.expect("who waits is never told Busy");
}

fn in_the_machine(running: &mut Running) {
    /// Interrupts in the machine that are enough.
    const ENOUGH: usize = 20;
    /// Far more rounds than it takes.
    const ROUNDS: usize = 2000;

    HEAP.set_reserve(64).expect("there is memory");
    on_timer(handler);
    start_timer(20_000);
    enable_interrupts();
    // A heap takes the memory that it needs once and keeps it, so the kernel calls the machine
    // itself.
    let machine = machine(running.shared_memory());
    let base = VirtAddr::new(SECOND_WINDOW.base);
    let range = VirtRange::new(base, SECOND_WINDOW.bytes).expect("it does not wrap");
    for _ in 0..ROUNDS {
        call_all(&machine, range);
        if BUSY.load(Ordering::Relaxed) >= ENOUGH {
            break;
        }
    }
    mask_interrupts();
    let busy = BUSY.load(Ordering::Relaxed);
    println!("# {:?}; {busy} interrupts in the machine", CHURN.lock());
    assert!(busy >= ENOUGH);
    assert!(CHURN.lock().served > 0);
    CHURN.lock().free_all();
    HEAP.set_reserve(0).expect("nothing is needed");
    let stats = running.checked_stats();
    assert_eq!(stats.small_objects, 0);
}
