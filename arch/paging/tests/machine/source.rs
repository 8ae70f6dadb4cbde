//! The source of frames, and a CPU whose TLB holds pairs of entries, valid or not, as a MIPS one
//! does.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::{FrameAllocator, FrameDeallocator, Owned, Paging, Tlb};

use crate::format::frame_of;
use crate::physical::{JUNK, PAGE, Pages, Physical, SLOT_BYTES, Space, TwoLevel, Whole, each_page};

/// The record of the frames, and the plan for requests for them.
#[derive(Debug, Default)]
pub(crate) struct Books {
    free: Vec<PhysAddr>,
    out: BTreeSet<PhysAddr>,
    pub(crate) requests: usize,
    /// Requests still served before one fails.
    pub(crate) fail_after: Option<usize>,
    /// Whether those after it fail too.
    fail_on: bool,
    pub(crate) filling: u8,
    cpu: Remembered,
    pub(crate) flushes: Vec<VirtRange>,
}

/// The translations and tables that the CPU caches.
#[derive(Debug, Default)]
struct Remembered {
    /// The two entries of each pair of pages, valid or not.
    pairs: BTreeMap<usize, [u32; 2]>,
    /// Tables by the quarter of a slot in which they were walked.
    tables: BTreeMap<usize, PhysAddr>,
}

const PAIR: usize = 2 * PAGE;
const QUARTER: usize = SLOT_BYTES / 4;

impl Remembered {
    fn holds(&self, frame: PhysAddr) -> bool {
        let mut pages = self.pairs.values().flatten().copied().filter_map(frame_of);
        pages.any(|held| held == frame) || self.tables.values().any(|&held| held == frame)
    }

    /// The entry of the page at `addr`, out of the pair that is remembered, which is loaded if none
    /// is.
    fn translate(&mut self, physical: &Physical, addr: VirtAddr) -> Option<PhysAddr> {
        let pair = addr.value() / PAIR;
        if let Some(table) = physical.table(addr) {
            self.tables.insert(addr.value() / QUARTER, table);
        }
        let load = |half| physical.walk(VirtAddr::new(pair * PAIR + half * PAGE));
        let halves = self.pairs.entry(pair).or_insert_with(|| [0, 1].map(load));
        frame_of(halves[addr.value() / PAGE % 2])
    }

    fn forget(&mut self, range: VirtRange) {
        let meets = |unit: usize, bytes: usize| {
            VirtRange::new(VirtAddr::new(unit * bytes), bytes)
                .is_some_and(|unit| unit.overlaps(range))
        };
        self.pairs.retain(|&pair, _| !meets(pair, PAIR));
        self.tables.retain(|&quarter, _| !meets(quarter, QUARTER));
    }
}

/// The source of frames, with a CPU beside it that touches memory and caches the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) physical: Physical,
    books: Arc<Mutex<Books>>,
}

impl Source {
    pub(crate) fn new(frames: usize) -> Self {
        Self::over(Physical::new(frames))
    }

    pub(crate) fn over(physical: Physical) -> Self {
        let number = |i: usize| PhysAddr::new(i as u64 * PAGE as u64);
        let books = Books {
            free: (0..physical.frames).rev().map(number).collect(),
            filling: JUNK,
            ..Books::default()
        };
        Self {
            physical,
            books: Arc::new(Mutex::new(books)),
        }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books
            .lock()
            .expect("no test panics with the lock held")
    }

    /// The number of flushes that the CPU was asked for.
    pub(crate) fn flushes(&self) -> usize {
        self.books().flushes.len()
    }

    /// Frames that were taken and not given back.
    pub(crate) fn out(&self) -> usize {
        self.books().out.len()
    }

    /// Has the CPU touch every page of `range`. Returns how many it could translate.
    pub(crate) fn touch(&self, range: VirtRange) -> usize {
        let mut books = self.books();
        let mut touch = |&page: &VirtAddr| {
            let seen = books.cpu.translate(&self.physical, page);
            seen.is_some()
        };
        each_page(range).filter(|page| touch(page)).count()
    }

    /// The frame that the CPU reaches at `addr`, by its caches or a walk.
    pub(crate) fn reach(&self, addr: VirtAddr) -> Option<PhysAddr> {
        self.books().cpu.translate(&self.physical, addr)
    }

    /// Fails the `n`-th request from now, and with `on` all that follow.
    pub(crate) fn fail(&self, n: usize, on: bool) {
        let mut books = self.books();
        books.fail_after = Some(n);
        books.fail_on = on;
    }

    pub(crate) fn heal(&self) {
        self.books().fail_after = None;
    }
}

// SAFETY: a frame leaves `free` when it is handed out and returns when it is given back.
unsafe impl FrameAllocator for Source {
    fn allocate_frame(&mut self) -> Option<PhysAddr> {
        let mut books = self.books();
        books.requests += 1;
        match books.fail_after {
            Some(0) => {
                if !books.fail_on {
                    books.fail_after = None;
                }
                return None;
            }
            Some(n) => books.fail_after = Some(n - 1),
            None => {}
        }
        let frame = books.free.pop()?;
        books.out.insert(frame);
        self.physical.fill(frame, books.filling);
        Some(frame)
    }
}

impl FrameDeallocator for Source {
    unsafe fn deallocate_frame(&mut self, frame: PhysAddr) {
        let mut books = self.books();
        assert!(books.out.remove(&frame), "{frame:?} was not out");
        assert!(!books.cpu.holds(frame), "a CPU still remembers {frame:?}");
        self.physical.fill(frame, !JUNK);
        books.free.push(frame);
    }
}

/// The TLB of the CPU that touches.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(pub(crate) Source);

// SAFETY: the only CPU drops all that it caches of the range, valid or not.
unsafe impl Tlb for Cpu {
    fn flush(&self, range: VirtRange) {
        self.0.books().cpu.forget(range);
        // Nothing keeps a CPU from walking there again at once: to tables that are still linked.
        self.0.touch(range);
        self.0.books().flushes.push(range);
    }

    fn filled(&self, range: VirtRange) {
        self.0.books().cpu.forget(range);
    }
}

pub(crate) type Machine<S = Whole, A = Owned<Pages<S>, Source>, T = Cpu> =
    Paging<TwoLevel, Pages<S>, Source, A, T>;

/// A machine over `source`'s memory that gives frames back, or holds them.
pub(crate) fn machine<S: Space>(source: &Source, returning: bool) -> Machine<S> {
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let paging = unsafe { Paging::new(Pages::over(source.physical), source.clone()) };
    let paging = if returning {
        paging.returning()
    } else {
        paging
    };
    paging.with_tlb(Cpu(source.clone()))
}
