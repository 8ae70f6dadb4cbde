//! The stack that the heap uses: painted before each call, and looked at afterwards.
//!
//! With `wasteful=init` on the command line, `init` is called below an array on the stack, and its
//! bound is broken.
#![no_std]
#![no_main]

use core::alloc::Layout;
use core::hint::black_box;
use core::ptr::{self, NonNull};

use archipelago::{AllocFlags, OwnedRun};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Boot, HEAP_WINDOW, HeapMachine, KernelHeap, Memory, SingleCpu, entry, machine, println,
    share_memory, without_interrupts,
};

entry!(main);

/// The most bytes of stack that `init` may use, whatever the level of optimisation.
const MOST_OF_INIT: usize = 8 << 10;

/// The most bytes of stack that any other call may use.
const MOST_OF_A_CALL: usize = 12 << 10;

static HEAP: KernelHeap = KernelHeap::new();

struct Context {
    memory: &'static Memory,
    is_wasteful: bool,
}

fn main(boot: Boot) -> ! {
    let is_wasteful = boot.info.value("wasteful") == Some("init");
    let mut context = Context {
        memory: share_memory(boot),
        is_wasteful,
    };
    let tests = [
        Test {
            name: "init keeps to its stack",
            run: initialise,
        },
        Test {
            name: "every other call keeps to its stack",
            run: call,
        },
    ];
    protocol::run(&tests, &mut context)
}

fn initialise(context: &mut Context) {
    let used = if context.is_wasteful {
        start_wastefully(context.memory)
    } else {
        start(context.memory)
    };
    report("init", used, MOST_OF_INIT);
}

/// Initialises the heap and returns the stack that this took, beside that for the machine and the
/// result, which are the caller's.
#[inline(never)]
fn start(memory: &'static Memory) -> usize {
    let machine = machine(memory);
    let top = paint();
    let started = HEAP.init(&[HEAP_WINDOW], machine);
    let used = deepest(top);
    assert!(started.is_ok(), "the heap is not initialised");
    used
}

/// Initialises the heap below an array on the stack that is as large as the bound.
#[inline(never)]
fn start_wastefully(memory: &'static Memory) -> usize {
    let top = paint();
    below_an_array(|| {
        start(memory);
    });
    deepest(top)
}

#[inline(never)]
fn below_an_array(work: impl FnOnce()) {
    let array = [0_u8; MOST_OF_INIT];
    black_box(&array);
    work();
    black_box(&array);
}

const SMALL: Layout = Layout::new::<[u64; 4]>();
const LARGE: Layout = Layout::new::<[u64; 8192]>();
const LONGER: Layout = Layout::new::<[u64; 16384]>();

/// Memory that calls have allocated.
#[derive(Default)]
struct Live {
    small: Option<NonNull<u8>>,
    large: Option<NonNull<u8>>,
    run: Option<OwnedRun<'static, HeapMachine, SingleCpu>>,
}

/// A call that is measured.
type Call = fn(&mut Live);

/// The calls, in an order in which each finds what it needs.
const CALLS: [(&str, Call); 9] = [
    ("allocate", |live| live.small = allocate(SMALL)),
    ("allocate, large", |live| live.large = allocate(LARGE)),
    ("reallocate", |live| {
        let memory = live.large.take().expect("it was allocated");
        // SAFETY: the object is live and has this layout, and its old address is forgotten.
        let moved = unsafe { HEAP.reallocate(memory, LARGE, LONGER, AllocFlags::empty()) };
        live.large = moved.ok().map(NonNull::cast);
    }),
    ("pages().allocate", |live| {
        live.run = HEAP.pages().allocate(16, 1, AllocFlags::empty()).ok();
    }),
    ("set_reserve", |_| {
        assert!(HEAP.set_reserve(32).is_ok(), "there is memory");
    }),
    ("deallocate", |live| {
        live.run = None;
        for (object, layout) in [(live.small.take(), SMALL), (live.large.take(), LONGER)] {
            let object = object.expect("it was allocated");
            // SAFETY:
            // - the object is live and has this layout;
            // - nothing uses it any more.
            unsafe { HEAP.deallocate(object, layout) };
        }
    }),
    ("scavenge", |_| {
        assert!(HEAP.scavenge(usize::MAX).is_ok(), "no lock is held");
    }),
    ("stats", |_| {
        black_box(HEAP.stats());
    }),
    ("verify", |_| {
        assert!(HEAP.verify().is_ok(), "the heap is not sound");
    }),
];

fn call(_context: &mut Context) {
    let mut live = Live::default();
    // Every figure is printed before the first bound is checked.
    let used = CALLS.map(|(name, call)| (name, stack_of(|| call(&mut live))));
    for (name, used) in used {
        report(name, used, usize::MAX);
    }
    for (name, used) in used {
        check(name, used, MOST_OF_A_CALL);
    }
}

fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    let memory = HEAP.allocate(layout, AllocFlags::empty()).ok();
    assert!(memory.is_some(), "there is memory");
    memory.map(NonNull::cast)
}

fn report(name: &str, used: usize, most: usize) {
    println!("# stack {name}: {used} bytes");
    check(name, used, most);
}

fn check(name: &str, used: usize, most: usize) {
    assert!(
        used <= most,
        "{name} used {used} bytes of stack, more than {most}"
    );
}

/// The word that the stack is painted with.
const PAINT: usize = usize::MAX / 255 * 0xc5;
/// Painted words: less than a stack has, more than any call uses.
const WORDS: usize = (80 << 10) / size_of::<usize>();
/// Words that are left to the function that paints.
const SPARED: usize = 512 / size_of::<usize>();

/// Bytes of stack that `work` uses.
#[inline(never)]
fn stack_of(work: impl FnOnce()) -> usize {
    let top = paint();
    work();
    deepest(top)
}

/// Paints the stack below the caller's frame, and returns where that begins.
#[inline(never)]
fn paint() -> *mut usize {
    let here = 0_usize;
    let top = ptr::from_ref(black_box(&here)).cast_mut();
    without_interrupts(|| {
        for word in SPARED..WORDS {
            // SAFETY: the stack is longer, and nothing is in it below the frames of this function
            // and its callees, which are shorter than what is spared.
            unsafe { top.wrapping_sub(word).write_volatile(PAINT) };
        }
    });
    top
}

/// Bytes from `top` to the lowest word that is not painted any more.
#[inline(never)]
fn deepest(top: *mut usize) -> usize {
    for word in (SPARED..WORDS).rev() {
        // SAFETY: the word was painted, and is part of the stack.
        if unsafe { top.wrapping_sub(word).read_volatile() } != PAINT {
            return word * size_of::<usize>();
        }
    }
    SPARED * size_of::<usize>()
}
