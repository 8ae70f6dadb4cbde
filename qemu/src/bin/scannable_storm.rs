//! A storm of timer interrupts, whose handler allocates and frees scannable objects beside those of
//! the kernel that it interrupts, wherever that is in the heap. Neighbours share words of the
//! bitmap; each finds its own objects as it laid them out, always.
#![no_std]
#![no_main]

use archipelago::{AllocFlags, EarlyRegion, Purpose, Window};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::scannable::{LINKS, Objects, SHAPES};
use archipelago_qemu::{
    Boot, KernelHeap, Running, SCANNABLE_PLACES, enable_interrupts, entry, mask_interrupts,
    on_timer, println, start_heap, start_timer, without_interrupts,
};
use spin::Mutex;

entry!(main);

static HEAP: KernelHeap = KernelHeap::new();

/// The allocator of the records that the tests keep of objects.
#[global_allocator]
static RECORDS: KernelHeap = KernelHeap::with_early(&EARLY);
static EARLY: EarlyRegion<{ 64 << 10 }> = EarlyRegion::new();

/// Pages that the heap keeps Ready for handlers.
const RESERVE: usize = 16;

/// Instructions between interrupts: more than a handler takes, and in no rhythm of the kernel's.
const PERIOD: u32 = 9_001;

/// Objects that the kernel has at once, and the handler, at most.
const KERNELS: usize = 60;
const HANDLERS: usize = 30;

/// Interrupts that are enough: a change to a word of the bitmap that is not atomic is a matter of
/// three instructions, and some of the interrupts have to come between them.
const ENOUGH: usize = 40_000;

/// Objects that the kernel or a handler allocates and frees in turn.
struct Churn {
    objects: Objects,
    most: usize,
    turn: usize,
    refused: usize,
}

static HANDLER: Mutex<Option<Churn>> = Mutex::new(None);

fn main(boot: Boot) -> ! {
    let place = SCANNABLE_PLACES[0];
    let mut running = start_heap(boot, &HEAP, place.windows);
    let tests = [Test {
        name: "every object keeps its own description",
        run: storm,
    }];
    protocol::run(&tests, &mut running)
}

impl Churn {
    fn new(most: usize, flags: AllocFlags) -> Self {
        Self {
            objects: Objects::new(&HEAP, KERNELS + HANDLERS, flags),
            most,
            turn: 0,
            refused: 0,
        }
    }

    /// Compares an object, frees it, and allocates another: most of them of so few words that many
    /// share a word of the bitmap.
    fn turn(&mut self) {
        self.turn += 1;
        let live = self.objects.live().len();
        if live == self.most {
            let index = self.turn * 7 % live;
            self.objects.compare_one(index);
            self.objects.free(index);
        }
        let (shape, count) = if self.turn % 16 == 0 {
            (&SHAPES[self.turn / 16 % SHAPES.len()], 1 + self.turn % 5)
        } else {
            (&LINKS, 1 + self.turn % 3)
        };
        if self.objects.allocate(shape, count).is_err() {
            self.refused += 1;
        }
    }
}

fn handler() {
    if let Some(churn) = HANDLER.lock().as_mut() {
        churn.turn();
    }
}

fn windows() -> &'static [Window] {
    &SCANNABLE_PLACES[0].windows[1..]
}

fn storm(running: &mut Running) {
    *HANDLER.lock() = Some(Churn::new(HANDLERS, AllocFlags::ATOMIC));
    HEAP.set_reserve(RESERVE).expect("there is memory");
    let mut own = Churn::new(KERNELS, AllocFlags::empty());
    on_timer(handler);
    enable_interrupts();
    start_timer(PERIOD);
    loop {
        own.turn();
        let interrupts = without_interrupts(|| HANDLER.lock().as_ref().map(|churn| churn.turn));
        if interrupts >= Some(ENOUGH) {
            break;
        }
    }
    mask_interrupts();
    let mut handler = HANDLER.lock().take().expect("the handler's objects");
    println!(
        "# {} turns of the kernel, {} of its handler; {} and {} requests refused",
        own.turn, handler.turn, own.refused, handler.refused
    );
    assert_eq!(own.refused, 0);
    assert!(handler.refused < handler.turn / 10, "it is hardly served");
    own.objects.take(&mut handler.objects);
    own.objects.compare(windows());
    running.check();
    own.objects.free_all();
    HEAP.set_reserve(0).expect("nothing is needed");
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    let stats = running.checked_stats();
    assert_eq!(
        (stats.of(Purpose::Objects), stats.of(Purpose::HeapBits)),
        (0, 0)
    );
}
