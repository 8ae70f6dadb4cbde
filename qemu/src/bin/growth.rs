//! The heap until the machine is out of memory, and back: refusals are errors with figures, all
//! that was taken can be given back and taken again, and no frame is lost on the way. What one test
//! frees stays Ready for the next one, unless it scavenges.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocError, AllocFlags, Cause, Purpose};
use archipelago_qemu::protocol::{self, Test};
use archipelago_qemu::{
    Boot, FRAME_BYTES, HEAP_WINDOW, KernelHeap, Refusal, Running, entry, println, start_heap,
};

entry!(main);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap::new();

fn main(boot: Boot) -> ! {
    let mut running = start_heap(boot, &HEAP, &[HEAP_WINDOW]);
    let tests = [
        // First, while the heap is small: each failure has all of it verified.
        Test {
            name: "a frame allocator that fails once changes nothing, whichever frame it refused",
            run: failing_once,
        },
        Test {
            name: "a frame allocator that fails for good changes nothing either",
            run: failing_for_good,
        },
        Test {
            name: "large objects fill the machine, and fill it again once freed",
            run: large,
        },
        Test {
            name: "small objects fill the machine, and fill it again once freed",
            run: small,
        },
        Test {
            name: "blocks freed in another order and size are found",
            run: mixed,
        },
        Test {
            name: "a request larger than the machine is refused at once",
            run: larger_than_the_machine,
        },
        Test {
            name: "try_reserve fails without a panic, and the vector stays as it was",
            run: try_reserve,
        },
    ];
    protocol::run(&tests, &mut running)
}

/// Blocks of one layout, the list of them kept in the blocks themselves: each holds the address of
/// the one before, in its first word.
struct Blocks {
    layout: Layout,
    last: Option<NonNull<u8>>,
    count: usize,
}

impl Blocks {
    fn of(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, 8).expect("a size far below the top");
        assert!(bytes >= size_of::<Option<NonNull<u8>>>());
        Self {
            layout,
            last: None,
            count: 0,
        }
    }

    fn push(&mut self) -> Result<(), AllocError> {
        let block = HEAP
            .allocate(self.layout, AllocFlags::empty())?
            .cast::<u8>();
        // SAFETY: the block is at least one word long, aligned for one, and new.
        unsafe { block.cast::<Option<NonNull<u8>>>().write(self.last) };
        self.last = Some(block);
        self.count += 1;
        Ok(())
    }

    /// Allocates until the heap refuses, and returns the reason.
    fn fill(&mut self) -> AllocError {
        loop {
            if let Err(error) = self.push() {
                return error;
            }
        }
    }

    fn pop(&mut self) -> bool {
        let Some(block) = self.last else {
            return false;
        };
        // SAFETY: `push` wrote the word, and nothing has written to it since.
        self.last = unsafe { block.cast::<Option<NonNull<u8>>>().read() };
        // SAFETY: the block was allocated with this layout, and nothing refers to it any more.
        unsafe { HEAP.deallocate(block, self.layout) };
        self.count -= 1;
        true
    }

    fn free(&mut self) {
        while self.pop() {}
    }
}

/// More frames than any request of these tests needs: its own pages, and the metadata and tables of
/// a step of growth.
const LARGEST_STEP: u64 = 256;

/// Checks that the machine, not the heap, is at its end.
fn assert_out_of_frames(running: &Running, error: AllocError) {
    let free = running.memory().1.free_frames();
    println!("# {error}; {free} frames are free");
    match error.cause {
        Cause::Frames { needed, available } | Cause::PageTables { needed, available } => {
            assert!(available < needed, "{error}");
            // The frames of a step that was undone are free again.
            assert!(available as u64 <= free, "{error}");
            assert!(free < LARGEST_STEP, "{free} frames are free");
        }
        _ => panic!("{error}"),
    }
}

/// Fills the machine with blocks of a size, frees them, and does it again.
fn fill_twice(running: &Running, bytes: usize) {
    let mut counts = [0; 2];
    for count in &mut counts {
        let mut blocks = Blocks::of(bytes);
        let error = blocks.fill();
        let full = running.checked_stats();
        assert_out_of_frames(running, error);
        *count = blocks.count;
        let metadata = full.metadata() / FRAME_BYTES;
        let tables = full.footprint.table_frames;
        println!(
            "# {} blocks of {bytes} bytes, {metadata} pages of metadata, {tables} page tables",
            blocks.count
        );
        blocks.free();
        assert_eq!(running.checked_stats().small_objects, 0);
    }
    assert_eq!(counts[0], counts[1]);
}

fn scavenge(running: &Running) {
    HEAP.scavenge(usize::MAX)
        .expect("nothing else uses the machine");
    let stats = running.checked_stats();
    assert_eq!(stats.free_pages, stats.scavenged_pages);
}

fn large(running: &mut Running) {
    fill_twice(running, 300_000);
}

/// A factor of sizes, so that every machine has about as many blocks.
fn scale(running: &Running) -> usize {
    let frames = running.memory().1.managed_frames();
    let bytes = usize::try_from(frames).expect("a word") * FRAME_BYTES;
    (bytes / (16 << 20)).max(1)
}

fn small(running: &mut Running) {
    fill_twice(running, 48 * scale(running));
}

fn mixed(running: &mut Running) {
    let scale = scale(running);
    let mut small = Blocks::of(64 * scale);
    let mut large = Blocks::of(40_000 * scale);
    let error = loop {
        let pushed = (0..500).try_for_each(|_| small.push());
        if let Err(error) = pushed.and_then(|()| large.push()) {
            break error;
        }
    };
    running.check();
    assert_out_of_frames(running, error);
    let room = large.count * large.layout.size();
    large.free();
    let mut medium = Blocks::of(9_000 * scale);
    medium.fill();
    running.check();
    let filled = medium.count * medium.layout.size();
    assert!(filled > room * 8 / 10, "{filled} of {room} bytes");
    small.free();
    medium.free();
    scavenge(running);
}

fn larger_than_the_machine(running: &mut Running) {
    let before = running.checked_stats();
    let frames = running.memory().1.managed_frames();
    let bytes = usize::try_from(frames).expect("a word") * FRAME_BYTES;
    let layout = Layout::from_size_align(bytes, 8).expect("a size far below the top");
    let error = HEAP
        .allocate(layout, AllocFlags::empty())
        .expect_err("it is all the memory there is");
    println!("# {error}");
    assert!(
        matches!(error.cause, Cause::Frames { .. } | Cause::PageTables { .. }),
        "{error}"
    );
    let mut after = running.checked_stats();
    assert_eq!(after.refusals, before.refusals + 1);
    assert_eq!(before.of(Purpose::Objects), after.of(Purpose::Objects));
    assert_eq!(before.owned_pages, after.owned_pages);
    let layout = Layout::from_size_align(HEAP_WINDOW.bytes, 8).expect("a size below the top");
    let error = HEAP
        .allocate(layout, AllocFlags::empty())
        .expect_err("it is the whole window");
    println!("# {error}");
    assert!(matches!(error.cause, Cause::Window { .. }), "{error}");
    after.refusals += 1;
    assert_eq!(running.checked_stats(), after);
}

fn try_reserve(running: &mut Running) {
    let mut numbers: Vec<u64> = (0..1_000).collect();
    let frames = running.memory().1.managed_frames();
    let too_many = usize::try_from(frames).expect("a word") * FRAME_BYTES / size_of::<u64>();
    for count in [too_many, usize::MAX / 64, usize::MAX] {
        assert!(numbers.try_reserve(count).is_err(), "{count}");
        assert!(numbers.iter().copied().eq(0..1_000));
    }
    numbers.try_reserve(1_000_000).expect("8 MB are there");
    numbers.extend(1_000..100_000);
    assert!(numbers.iter().copied().eq(0..100_000));
    running.check();
}

/// Allocates a large block, a smaller one beside it, and small ones.
fn work() -> Result<(), AllocError> {
    let mut blocks = [Blocks::of(300_000), Blocks::of(70_000), Blocks::of(24)];
    let done = blocks
        .iter_mut()
        .try_for_each(|blocks| (0..3).try_for_each(|_| blocks.push()));
    blocks.iter_mut().for_each(Blocks::free);
    done
}

/// Refuses each of the frames that the work takes, and returns their number.
fn fail_each(running: &Running, refusal: impl Fn(u64) -> Refusal) -> u64 {
    for request in 1.. {
        HEAP.scavenge(usize::MAX)
            .expect("nothing else uses the machine");
        running.memory().1.refuse(refusal(request));
        let result = work();
        running.memory().1.refuse(Refusal::Never);
        HEAP.scavenge(0).expect("nothing else uses the machine");
        let stats = running.checked_stats();
        assert_eq!(stats.of(Purpose::Objects), 0, "request {request}");
        match result {
            Ok(()) => return request - 1,
            Err(error) => assert!(
                matches!(error.cause, Cause::Frames { .. } | Cause::PageTables { .. }),
                "{error}"
            ),
        }
    }
    unreachable!("some number of frames is enough")
}

fn failing_once(running: &mut Running) {
    let injected = fail_each(running, Refusal::Once);
    println!("# {injected} failures injected");
    assert!(injected > 0);
}

fn failing_for_good(running: &mut Running) {
    let injected = fail_each(running, Refusal::From);
    println!("# {injected} failures injected");
    assert!(injected > 0);
}
