//! The source of frames, with a CPU beside it that touches memory.

use alloc::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::{AdjacentFrames, FrameAllocator, FrameDeallocator};

use crate::{Caches, FrameMemory, Walked, each_page};

/// The record of frames and of the CPU's caches, with the plan for requests.
#[derive(Debug, Default)]
pub struct Books<C> {
    free: Vec<PhysAddr>,
    out: BTreeSet<PhysAddr>,
    /// Requests for frames until now.
    pub requests: usize,
    /// Requests still served before one fails.
    fail_after: Option<usize>,
    /// Whether those after it fail too.
    fail_on: bool,
    /// The contents of a frame that is handed out.
    pub filling: u8,
    /// The CPU's caches.
    pub cached: C,
    /// Ranges that the CPU was asked to flush, in order.
    pub flushes: Vec<VirtRange>,
}

/// The source of frames, with a CPU beside it that touches memory and caches the way to it. Copies
/// are the same source.
#[derive(Debug)]
pub struct Source<P: Walked> {
    /// The memory that the frames are of, with the tables in it.
    pub physical: P,
    books: &'static Mutex<Books<P::Cached>>,
}

impl<P: Walked> Clone for Source<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Walked> Copy for Source<P> {}

impl<P: Walked> Source<P> {
    /// A source of `frames` frames of new memory, with empty tables.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        let memory = FrameMemory::new(frames, PhysAddr::new(P::FIRST), P::JUNK);
        Self::over(P::over(memory))
    }

    /// A source of all frames of the memory except the root's.
    #[must_use]
    pub fn over(physical: P) -> Self {
        let frames = physical.memory().all().rev();
        let books = Books {
            free: frames
                .filter(|&frame| physical.root() != Some(frame))
                .collect(),
            filling: P::JUNK,
            ..Books::default()
        };
        Self {
            physical,
            books: Box::leak(Box::new(Mutex::new(books))),
        }
    }

    /// The record, locked.
    pub fn books(&self) -> MutexGuard<'_, Books<P::Cached>> {
        self.books
            .lock()
            .expect("no test panics with the lock held")
    }

    /// The number of flushes that the CPU was asked for.
    #[must_use]
    pub fn flushes(&self) -> usize {
        self.books().flushes.len()
    }

    /// Frames that were allocated and not given back.
    #[must_use]
    pub fn out(&self) -> usize {
        self.books().out.len()
    }

    /// Has the CPU touch every page of `range`, and cache the way to it. Returns how many it could
    /// translate.
    pub fn touch(&self, range: VirtRange) -> usize {
        each_page(range)
            .filter(|&page| self.reach(page).is_some())
            .count()
    }

    /// The frame that the CPU reaches at `addr`, by its caches or a walk.
    pub fn reach(&self, addr: VirtAddr) -> Option<PhysAddr> {
        self.books().cached.translate(&self.physical, addr)
    }

    /// Records a flush of `range`, after which the CPU walks there again at once, as nothing keeps
    /// one from doing: to tables that are still linked.
    pub fn flushed(&self, range: VirtRange) {
        self.touch(range);
        self.books().flushes.push(range);
    }

    /// Fails the `n`-th request from now, and with `on` all that follow.
    pub fn fail(&self, n: usize, on: bool) {
        let mut books = self.books();
        books.fail_after = Some(n);
        books.fail_on = on;
    }

    /// Serves all requests again.
    pub fn heal(&self) {
        self.books().fail_after = None;
    }
}

// SAFETY: a frame leaves `free` when it is handed out and returns when it is given back.
unsafe impl<P: Walked> FrameAllocator for Source<P> {
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
        self.physical.memory().fill(frame, books.filling);
        Some(frame)
    }
}

// SAFETY: the frames leave `free` together, and each returns when it is given back.
unsafe impl<P: Walked> AdjacentFrames for Source<P> {
    fn allocate_adjacent(&mut self, count: usize, align: usize) -> Option<PhysAddr> {
        let mut books = self.books();
        books.requests += 1;
        let memory = self.physical.memory();
        let frames: Vec<_> = memory.all().collect();
        let run = frames.windows(count).find(|run| {
            let is_aligned = run[0].value() % align as u64 == 0;
            is_aligned && run.iter().all(|frame| books.free.contains(frame))
        })?;
        for &frame in run {
            books.free.retain(|&free| free != frame);
            books.out.insert(frame);
            memory.fill(frame, books.filling);
        }
        run.first().copied()
    }
}

impl<P: Walked> FrameDeallocator for Source<P> {
    unsafe fn deallocate_frame(&mut self, frame: PhysAddr) {
        let mut books = self.books();
        assert!(books.out.remove(&frame), "{frame:?} was not out");
        assert!(!books.cached.holds(frame), "a CPU still caches {frame:?}");
        let is_written_back = self.physical.is_written_back(frame);
        assert!(is_written_back, "a cache still has lines of {frame:?}");
        self.physical.memory().fill(frame, !P::JUNK);
        books.free.push(frame);
    }
}
