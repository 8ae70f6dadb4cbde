//! A machine with too little memory: the heap says so with figures, when it is initialised or when
//! it is used, and what fits is served.
#![no_std]
#![no_main]

use core::alloc::Layout;

use archipelago::{AllocFlags, Cause, InitError};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Account, Boot, HEAP_WINDOW, KernelHeap, Memory, entry, machine, println, share_memory,
};

entry!(main);

static HEAP: KernelHeap = KernelHeap::new();

/// The state that the tests share.
struct Context {
    memory: &'static Memory,
    account: Account,
}

/// The frames for which initialising succeeds are found below this.
const MOST: u64 = 64;

fn main(boot: Boot) -> ! {
    let tests = [
        Test {
            name: "initialising reports the missing frames and changes nothing, until there are enough",
            run: initialise,
        },
        Test {
            name: "a heap with no frame more says what each request lacks",
            run: requests,
        },
    ];
    let account = Account::open(&boot.frames);
    let memory = share_memory(boot);
    println!("# {} frames", memory.lock().1.managed_frames());
    protocol::run(&tests, &mut Context { memory, account })
}

/// The figures of a refusal for want of frames.
#[track_caller]
fn lack(cause: Cause) -> (usize, usize) {
    match cause {
        Cause::Frames { needed, available } | Cause::PageTables { needed, available } => {
            assert!(available < needed, "{cause}");
            (needed, available)
        }
        _ => panic!("{cause}"),
    }
}

fn initialise(context: &mut Context) {
    for frames in 0..MOST {
        context.memory.lock().1.set_available(frames);
        let machine = machine(context.memory);
        let Err(failure) = HEAP.init(&[HEAP_WINDOW], machine) else {
            println!("# {frames} frames are enough");
            return;
        };
        println!("# {frames} frames: {failure}");
        let InitError::Metadata { cause } = failure.error else {
            panic!("{failure}");
        };
        lack(cause);
        assert_eq!(context.account.frames(&context.memory.lock().1), 0);
    }
    panic!("{MOST} frames are not enough");
}

fn requests(context: &mut Context) {
    for size in [8, 5000, 100_000, 10 << 20] {
        context.memory.lock().1.set_available(0);
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        let error = HEAP
            .allocate(layout, AllocFlags::empty())
            .expect_err("there is no frame");
        println!("# {error}");
        lack(error.cause);
        let pool = &context.memory.lock().1;
        context
            .account
            .check(pool, &HEAP.stats())
            .expect("nothing is lost");
    }
    context.memory.lock().1.set_available(MOST);
    let layout = Layout::from_size_align(5000, 8).expect("a small size");
    let block = HEAP.allocate(layout, AllocFlags::empty());
    let block = block.expect("there are frames now").cast();
    // SAFETY: it was allocated with this layout.
    unsafe { HEAP.deallocate(block, layout) };
    HEAP.verify().expect("the heap is sound");
}
