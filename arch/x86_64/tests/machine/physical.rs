//! Physical memory made of ordinary memory: frames, the source that hands them out, and the page
//! walk of a CPU, written apart from the library so that it can judge it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{VirtAddr, VirtRange};
use archipelago_x86_64::{PageTables, Paging, Tlb};
use x86_64::structures::paging::mapper::PageTableFrameMapping;
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, MappedPageTable, OffsetPageTable, PageTable, PhysFrame,
    Size4KiB,
};

pub(crate) const PAGE: usize = 4096;
/// The contents of a frame that is handed out.
pub(crate) const JUNK: u8 = 0xa5;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const HUGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const FRAME: u64 = 0x000f_ffff_ffff_f000;

#[repr(C, align(4096))]
struct Frame([u8; PAGE]);

/// Frames 0 to `frames`, of which the level-4 table is number 1. Lives until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    base: *mut Frame,
    frames: usize,
}

// SAFETY: the memory is reached through the frames' owners alone: the source hands each out once,
// and tests read tables while no machine works on them.
unsafe impl Send for Physical {}
// SAFETY: as above.
unsafe impl Sync for Physical {}

impl Physical {
    pub(crate) fn new(frames: usize) -> Self {
        let memory: Vec<Frame> = (0..frames).map(|_| Frame([JUNK; PAGE])).collect();
        let base = Box::leak(memory.into_boxed_slice()).as_mut_ptr();
        // SAFETY: the memory was just leaked.
        unsafe { Self::at(base.cast(), frames) }
    }

    /// Over memory that is there already.
    ///
    /// # Safety
    /// - `frames` pages from `base` belong to the caller and are never freed.
    /// - `base` is aligned to a page.
    pub(crate) unsafe fn at(base: *mut u8, frames: usize) -> Self {
        let physical = Self {
            base: base.cast(),
            frames,
        };
        physical.fill(1, 0);
        physical
    }

    fn frame(&self, number: u64) -> *mut Frame {
        let number = usize::try_from(number).expect("64 bits");
        assert!(number < self.frames, "no such frame: {number:#x}");
        self.base.wrapping_add(number)
    }

    pub(crate) fn fill(&self, number: u64, byte: u8) {
        // SAFETY: `frame` checked that it lies in the memory, and its owner asks.
        unsafe { self.frame(number).write_bytes(byte, 1) };
    }

    /// Whether every byte of frame `number` is `byte`.
    pub(crate) fn holds(&self, number: u64, byte: u8) -> bool {
        (0..512).all(|index| self.word(number, index) == u64::from_ne_bytes([byte; 8]))
    }

    /// Word `index` of frame `number`.
    fn word(&self, number: u64, index: usize) -> u64 {
        let words = self.frame(number).cast::<u64>();
        // SAFETY: a frame has 512 words, and no machine works on the tables while a test reads.
        unsafe { words.wrapping_add(index % 512).read() }
    }

    /// The way of a CPU's page walk to `address`: the page-table words from level 4 down,
    /// as far as they are present.
    fn path(&self, address: VirtAddr) -> Vec<u64> {
        let mut words = Vec::new();
        let mut table = 1;
        for shift in [39, 30, 21, 12] {
            let word = self.word(table, (address.value() >> shift) & 511);
            words.push(word);
            if word & PRESENT == 0 || (shift != 12 && word & HUGE != 0) {
                break;
            }
            table = (word & FRAME) >> 12;
        }
        words
    }

    /// The frame of the 4 KiB page at `address`, if the heap may write there.
    pub(crate) fn ready(&self, address: VirtAddr) -> Option<u64> {
        let path = self.path(address);
        if path.len() < 4
            || path
                .iter()
                .any(|word| word & (PRESENT | WRITABLE) != PRESENT | WRITABLE)
        {
            return None;
        }
        assert_ne!(path[3] & NO_EXECUTE, 0, "{address} is executable");
        Some((path[3] & FRAME) >> 12)
    }

    /// Frames of the tables between the level-4 table and `address`.
    pub(crate) fn tables(&self, address: VirtAddr) -> Vec<u64> {
        let path = self.path(address);
        let links = path
            .iter()
            .take(3)
            .filter(|&&word| word & PRESENT != 0 && word & HUGE == 0);
        links.map(|word| (word & FRAME) >> 12).collect()
    }

    /// Every word of every table, by place. Two equal pictures translate every address alike.
    pub(crate) fn picture(&self) -> BTreeMap<Vec<usize>, u64> {
        let mut picture = BTreeMap::new();
        self.draw(1, 4, &mut Vec::new(), &mut picture);
        picture
    }

    fn draw(
        &self,
        table: u64,
        level: u32,
        place: &mut Vec<usize>,
        picture: &mut BTreeMap<Vec<usize>, u64>,
    ) {
        for index in 0..512 {
            let word = self.word(table, index);
            if word == 0 {
                continue;
            }
            place.push(index);
            picture.insert(place.clone(), word);
            if level > 1 && word & PRESENT != 0 && word & HUGE == 0 {
                self.draw((word & FRAME) >> 12, level - 1, place, picture);
            }
            place.pop();
        }
    }

    fn level_4(&self) -> &'static mut PageTable {
        // SAFETY: frame 1 lives for ever, is aligned, and each test makes one mapper of it.
        unsafe { &mut *self.frame(1).cast() }
    }
}

// SAFETY: every frame is mapped, at its number past the base.
unsafe impl PageTableFrameMapping for Physical {
    fn frame_to_pointer(&self, frame: PhysFrame) -> *mut PageTable {
        self.frame(frame.pfn()).cast()
    }
}

pub(crate) type Mapped = MappedPageTable<'static, Physical>;

/// A mapper over the memory, of either of the crate's kinds.
pub(crate) trait Over: PageTables {
    fn over(physical: Physical) -> Self;
}

impl Over for Mapped {
    fn over(physical: Physical) -> Self {
        // SAFETY: the level-4 table is empty, and the mapping is right for every frame.
        unsafe { MappedPageTable::new(physical.level_4(), physical) }
    }
}

impl Over for OffsetPageTable<'static> {
    fn over(physical: Physical) -> Self {
        let offset = x86_64::VirtAddr::new(physical.base.expose_provenance() as u64);
        // SAFETY: the level-4 table is empty, and frame n lies n frames above the offset.
        unsafe { OffsetPageTable::new(physical.level_4(), offset) }
    }
}

/// The record of the frames, and the plan for requests for them.
#[derive(Debug, Default)]
pub(crate) struct Books {
    free: Vec<u64>,
    out: BTreeSet<u64>,
    pub(crate) requests: usize,
    /// Requests still served before one fails.
    pub(crate) fail_after: Option<usize>,
    /// Whether those after it fail too.
    pub(crate) fail_on: bool,
    /// The contents of a frame that is handed out.
    pub(crate) filling: u8,
    remembered: Remembered,
    pub(crate) flushes: Vec<VirtRange>,
}

/// The part of the page tables that a CPU caches.
#[derive(Debug, Default)]
struct Remembered {
    /// Frames by page.
    pages: BTreeMap<usize, u64>,
    /// Frames of tables, by the addresses that they serve.
    tables: BTreeMap<(usize, usize), u64>,
}

impl Remembered {
    fn holds(&self, frame: u64) -> bool {
        self.pages
            .values()
            .chain(self.tables.values())
            .any(|&held| held == frame)
    }

    /// Walks to `page` and caches the entries on the way, as CPUs also do without an instruction
    /// that asks for it. Returns whether a translation is cached, now or from before.
    fn walk(&mut self, physical: &Physical, page: VirtAddr) -> bool {
        if let Some(frame) = physical.ready(page) {
            self.pages.insert(page.value(), frame);
        }
        for (frame, shift) in physical.tables(page).into_iter().zip([39, 30, 21]) {
            let served = (page.value() >> shift << shift, 1 << shift);
            self.tables.insert(served, frame);
        }
        self.pages.contains_key(&page.value())
    }

    fn forget(&mut self, range: VirtRange) {
        self.pages
            .retain(|&page, _| !range.contains(VirtAddr::new(page)));
        self.tables.retain(|&(base, bytes), _| {
            !VirtRange::new(VirtAddr::new(base), bytes).is_some_and(|served| served.overlaps(range))
        });
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
        // Number 0 is a frame like any other.
        let free = (0..physical.frames as u64)
            .rev()
            .filter(|&number| number != 1)
            .collect();
        let books = Books {
            free,
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

    /// Has the CPU touch every page of `range`, and cache the way to it. Returns how many it could
    /// translate.
    pub(crate) fn touch(&self, range: VirtRange) -> usize {
        let mut books = self.books();
        each_page(range)
            .filter(|&page| books.remembered.walk(&self.physical, page))
            .count()
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

pub(crate) fn each_page(range: VirtRange) -> impl Iterator<Item = VirtAddr> {
    (0..range.bytes() / PAGE).map(move |i| VirtAddr::new(range.base().value() + i * PAGE))
}

// SAFETY: a frame leaves `free` when it is handed out and returns when it is given back.
unsafe impl FrameAllocator<Size4KiB> for Source {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
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
        let number = books.free.pop()?;
        books.out.insert(number);
        self.physical.fill(number, books.filling);
        Some(PhysFrame::from_pfn(number))
    }
}

impl FrameDeallocator<Size4KiB> for Source {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        let mut books = self.books();
        let number = frame.pfn();
        assert!(books.out.remove(&number), "frame {number:#x} was not out");
        assert!(
            !books.remembered.holds(number),
            "a CPU still remembers frame {number:#x}"
        );
        self.physical.fill(number, !JUNK);
        books.free.push(number);
    }
}

/// The TLB of the CPU that touches.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(pub(crate) Source);

// SAFETY: the only CPU drops all that it caches of the range.
unsafe impl Tlb for Cpu {
    fn flush(&self, range: VirtRange) {
        let mut books = self.0.books();
        books.remembered.forget(range);
        // Nothing keeps a CPU from walking there again at once: to tables that are still linked.
        for page in each_page(range) {
            books.remembered.walk(&self.0.physical, page);
        }
        books.flushes.push(range);
    }
}

pub(crate) type Machine<P> = Paging<P, Source, archipelago_x86_64::Owned<P, Source>, Cpu>;

/// A machine over `source`'s memory that gives frames back, or holds them.
pub(crate) fn machine<P: Over>(source: &Source, returning: bool) -> Machine<P> {
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let paging = unsafe { Paging::new(P::over(source.physical), source.clone()) };
    let paging = if returning {
        paging.returning()
    } else {
        paging
    };
    paging.with_tlb(Cpu(source.clone()))
}

pub(crate) fn range(base: usize, pages: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), pages * PAGE).expect("does not wrap")
}
