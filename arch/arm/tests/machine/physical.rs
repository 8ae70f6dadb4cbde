//! Physical memory made of ordinary memory, with first-level tables beside it, the page walk of a
//! CPU, and a source of frames.

use alloc::sync::Arc;
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_arm::maintenance::Instructions;
use archipelago_arm::{FrameReturn, FrameSource, Reach, Roots, Walks};

pub(crate) const PAGE: usize = 4096;
/// Where physical memory begins.
const RAM: u64 = 0x4000_0000;

#[repr(C, align(4096))]
struct Frame([u32; 1024]);

/// Words of a first-level table.
pub(crate) const FIRST_LEVEL: usize = 4096;

/// Frames, and two first-level tables. Lives until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    base: *mut Frame,
    frames: usize,
    pub(crate) lower: NonNull<u32>,
    pub(crate) upper: NonNull<u32>,
    split: u32,
}

// SAFETY: the memory is reached through the frames' owners alone: the source hands each out once,
// and tests read tables while no machine works on them.
unsafe impl Send for Physical {}
// SAFETY: as above.
unsafe impl Sync for Physical {}

/// Words that nobody frees, filled with `word`.
fn leak(words: usize, word: u32) -> NonNull<u32> {
    NonNull::from(Box::leak(vec![word; words].into_boxed_slice())).cast()
}

impl Physical {
    pub(crate) fn new(frames: usize, split: u32) -> Self {
        let memory: Vec<Frame> = (0..frames).map(|_| Frame([0xa5a5_a5a5; 1024])).collect();
        let base = Box::leak(memory.into_boxed_slice()).as_mut_ptr();
        // SAFETY: the memory was just leaked.
        unsafe { Self::at(base.cast(), frames, split) }
    }

    /// Over memory that is there already.
    ///
    /// # Safety
    /// `frames` pages from `base`, which is aligned to a page, are nobody else's and stay.
    pub(crate) unsafe fn at(base: *mut u8, frames: usize, split: u32) -> Self {
        Self {
            base: base.cast(),
            frames,
            lower: leak(FIRST_LEVEL >> split, 0),
            upper: leak(FIRST_LEVEL, 0),
            split,
        }
    }

    pub(crate) fn roots(&self, walks: Walks) -> Roots<Self> {
        // SAFETY: no CPU runs on these tables, and the walk below goes by the same split.
        unsafe { Roots::new(self.lower, self.upper, self.split, walks, *self) }
    }

    /// Where the memory of a frame is.
    pub(crate) fn frame(&self, frame: PhysAddr) -> *mut u32 {
        let number = usize::try_from(frame.value() - RAM).expect("small") / PAGE;
        assert!(number < self.frames, "no such frame: {number:#x}");
        self.base.wrapping_add(number).cast()
    }

    fn word(&self, table: u32, index: usize) -> u32 {
        let within = usize::try_from(table % 4096).expect("small") / 4 + index;
        let frame = PhysAddr::new(u64::from(table & 0xffff_f000));
        // SAFETY: a word of a frame, and no machine works on the tables while a test reads.
        unsafe { self.frame(frame).wrapping_add(within).read() }
    }

    /// The first-level word for `addr`: of TTBR0's table if the N highest bits are 0.
    pub(crate) fn first_level(&self, addr: VirtAddr) -> u32 {
        let (mut table, mut index) = (self.upper, addr.value() >> 20);
        if self.split == 0 || addr.value() >> (32 - self.split) == 0 {
            table = self.lower;
            index &= (FIRST_LEVEL >> self.split) - 1;
        }
        // SAFETY: a word of the table.
        unsafe { table.as_ptr().wrapping_add(index).read() }
    }

    /// The second-level word for `addr`, if a table is linked.
    pub(crate) fn second_level(&self, addr: VirtAddr) -> Option<u32> {
        let link = self.first_level(addr);
        (link & 3 == 1).then(|| self.word(link & 0xffff_fc00, addr.value() >> 12 & 255))
    }

    /// The number of the frame that `addr` translates to.
    pub(crate) fn ready(&self, addr: VirtAddr) -> Option<usize> {
        let word = self.second_level(addr)?;
        if word & 0b10 == 0 {
            return None;
        }
        assert_eq!(word & 1, 1, "{addr} is executable");
        let frame = u64::from(word & 0xffff_f000) - RAM;
        Some(usize::try_from(frame).expect("small") / PAGE)
    }
}

// SAFETY: frames lie in the memory, at their number.
unsafe impl Reach for Physical {
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8> {
        NonNull::new(self.frame(frame).cast()).expect("ordinary memory")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Books {
    free: Vec<PhysAddr>,
    out: usize,
    /// Requests still served; all, where there is no number.
    pub(crate) left: Option<usize>,
}

/// Hands out the frames of physical memory.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) physical: Physical,
    books: Arc<Mutex<Books>>,
}

impl Source {
    pub(crate) fn over(physical: Physical) -> Self {
        let frame = |i: usize| PhysAddr::new(RAM + i as u64 * PAGE as u64);
        let books = Books {
            free: (0..physical.frames).rev().map(frame).collect(),
            ..Books::default()
        };
        Self {
            physical,
            books: Arc::new(Mutex::new(books)),
        }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no test panics while it looks")
    }

    pub(crate) fn out(&self) -> usize {
        self.books().out
    }
}

// SAFETY: a frame leaves `free` when it is handed out and returns when it is given back.
unsafe impl FrameSource for Source {
    fn take(&mut self) -> Option<PhysAddr> {
        let mut books = self.books();
        if let Some(left) = books.left {
            books.left = Some(left.checked_sub(1)?);
        }
        let frame = books.free.pop()?;
        books.out += 1;
        Some(frame)
    }
}

impl FrameReturn for Source {
    unsafe fn give_back(&mut self, frame: PhysAddr) {
        let mut books = self.books();
        assert!(!books.free.contains(&frame), "{frame:?} came back twice");
        books.out -= 1;
        books.free.push(frame);
    }
}

/// Has the tables maintained by `instructions`.
pub(crate) fn maintained<I: Instructions>(
    physical: &Physical,
    walks: Walks,
    instructions: I,
) -> Roots<Physical, I> {
    physical.roots(walks).with_instructions(instructions)
}

/// Instructions that a host need not have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

// SAFETY: no CPU walks the tables.
unsafe impl Instructions for Nothing {
    fn dsb(&self) {}
    fn isb(&self) {}
    fn invalidate_page(&self, _address: usize) {}
    fn invalidate_all(&self) {}
    fn clean(&self, _address: usize) {}
}

pub(crate) fn range(base: usize, pages: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), pages * PAGE).expect("does not wrap")
}
