//! Physical memory made of ordinary memory, the source of its frames, and a CPU that walks the
//! tables by code of its own and caches entries, valid or not, and links to tables.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::{
    FrameAllocator, FrameDeallocator, Owned, Paging, PhysMap, RadixTables, Tlb,
};

use crate::machine::{Fence, Maintenance, Sv39};

pub(crate) const PAGE: usize = 4096;
/// The physical address of the first frame, which holds the root table.
pub(crate) const RAM: u64 = 0x8000_0000;
/// The contents of a frame that is handed out.
const JUNK: u8 = 0xa7;

#[repr(C, align(4096))]
struct Frame([u64; 512]);

/// Frames from [`RAM`] on. The memory lives until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    base: *mut Frame,
    frames: usize,
}

// SAFETY: only the owners of frames access them: the source hands each out once, and tests read
// tables while no machine works on them.
unsafe impl Send for Physical {}
// SAFETY: accesses are the owners' alone, from whichever thread.
unsafe impl Sync for Physical {}

impl Physical {
    fn new(frames: usize) -> Self {
        let junk = u64::from_ne_bytes([JUNK; 8]);
        let memory: Vec<Frame> = (0..frames).map(|_| Frame([junk; 512])).collect();
        let base = Box::leak(memory.into_boxed_slice()).as_mut_ptr();
        // SAFETY: the memory was just leaked, and a frame is aligned to a page.
        unsafe { Self::at(base.cast(), frames) }
    }

    /// Over memory that exists already.
    ///
    /// # Safety
    /// - `frames` pages from `base` belong to the caller and are never freed.
    /// - `base` is aligned to a page.
    pub(crate) unsafe fn at(base: *mut u8, frames: usize) -> Self {
        let base = base.cast();
        let physical = Self { base, frames };
        physical.fill(PhysAddr::new(RAM), 0);
        physical
    }

    /// The number of a frame.
    pub(crate) fn number(&self, frame: PhysAddr) -> usize {
        let above = frame.value().checked_sub(RAM).expect("memory begins there");
        let number = usize::try_from(above).expect("small") / PAGE;
        assert!(number < self.frames, "no such frame: {frame:?}");
        number
    }

    fn memory(&self, frame: PhysAddr) -> *mut Frame {
        self.base.wrapping_add(self.number(frame))
    }

    fn fill(&self, frame: PhysAddr, byte: u8) {
        // SAFETY: `memory` checked that the frame exists, and its owner calls.
        unsafe { self.memory(frame).write_bytes(byte, 1) };
    }

    /// The place of entry `index` of the table in `frame`.
    fn entry(&self, table: PhysAddr, index: usize) -> *mut u64 {
        self.memory(table).cast::<u64>().wrapping_add(index % 512)
    }

    fn read(&self, table: PhysAddr, index: usize) -> u64 {
        // SAFETY: the entry lies in a frame, and no machine works on the tables while a test reads.
        unsafe { self.entry(table, index).read() }
    }

    /// Writes an entry as the kernel does.
    pub(crate) fn write(&self, table: PhysAddr, index: usize, word: u64) {
        // SAFETY: the entry lies in a frame, and no machine works on the tables meanwhile.
        unsafe { self.entry(table, index).write(word) };
    }

    /// The entries on a CPU's way to `address`, from the root down to the first that links no
    /// table.
    fn path(&self, address: VirtAddr) -> Vec<u64> {
        let mut path = Vec::new();
        let mut table = PhysAddr::new(RAM);
        for shift in [30, 21, 12] {
            let word = self.read(table, address.value() >> shift);
            path.push(word);
            if word & 0b1111 != 1 {
                break;
            }
            table = frame_of(word);
        }
        path
    }

    /// The frame of the page at `address`, if the kernel can read and write it.
    pub(crate) fn ready(&self, address: VirtAddr) -> Option<PhysAddr> {
        let path = self.path(address);
        let &word = path.get(2)?;
        if word & 0b111 != 0b111 {
            return None;
        }
        assert_eq!(word & 0b11000, 0, "{address} is executable, or the user's");
        Some(frame_of(word))
    }

    /// The frames of the tables below the root on the way to `address`.
    pub(crate) fn tables(&self, address: VirtAddr) -> Vec<PhysAddr> {
        let path = self.path(address).into_iter().take(2);
        let links = path.filter(|&word| word & 0b1111 == 1);
        links.map(frame_of).collect()
    }

    /// Every entry that is not 0, by its indices from the root. Two equal pictures translate every
    /// address alike.
    pub(crate) fn picture(&self) -> BTreeMap<Vec<usize>, u64> {
        let mut picture = BTreeMap::new();
        let mut open = vec![(PhysAddr::new(RAM), Vec::new())];
        while let Some((table, place)) = open.pop() {
            for index in 0..512 {
                let word = self.read(table, index);
                let place = [&place[..], &[index]].concat();
                if place.len() < 3 && word & 0b1111 == 1 {
                    open.push((frame_of(word), place.clone()));
                }
                if word != 0 {
                    picture.insert(place, word);
                }
            }
        }
        picture
    }
}

/// The frame that an entry names, in bits 10 to 53.
fn frame_of(word: u64) -> PhysAddr {
    PhysAddr::new((word << 10 >> 20) << 12)
}

// SAFETY: every frame lies in the memory, at its number.
unsafe impl PhysMap for Physical {
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8> {
        NonNull::new(self.memory(frame).cast()).expect("ordinary memory")
    }
}

/// The record of frames and of the CPU's caches, with the plan for requests.
#[derive(Debug, Default)]
struct Books {
    free: Vec<PhysAddr>,
    out: BTreeSet<PhysAddr>,
    /// Requests still served before one fails.
    fail_after: Option<usize>,
    /// Whether those after it fail too.
    fail_on: bool,
    cached: Cached,
    flushes: usize,
}

/// The caches of a CPU.
#[derive(Debug, Default)]
struct Cached {
    /// The frame of a page, or its absence.
    pages: BTreeMap<usize, Option<PhysAddr>>,
    /// The frames of tables, by the addresses that they translate: bits from `shift` up, `shift`.
    tables: BTreeMap<(usize, u32), PhysAddr>,
}

impl Cached {
    fn holds(&self, frame: PhysAddr) -> bool {
        let mut frames = self.pages.values().flatten().chain(self.tables.values());
        frames.any(|&held| held == frame)
    }

    /// Translates a page by the caches, or by a walk whose entries are cached.
    fn translate(&mut self, physical: &Physical, page: VirtAddr) -> Option<PhysAddr> {
        for (table, shift) in physical.tables(page).into_iter().zip([30, 21]) {
            self.tables.insert((page.value() >> shift, shift), table);
        }
        let walk = || physical.ready(page);
        *self.pages.entry(page.value()).or_insert_with(walk)
    }
}

/// The source of frames, with a CPU beside it that touches memory.
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
        let frame = |number: usize| PhysAddr::new(RAM + number as u64 * PAGE as u64);
        let books = Books {
            free: (1..physical.frames).rev().map(frame).collect(),
            ..Books::default()
        };
        Self {
            physical,
            books: Arc::new(Mutex::new(books)),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books
            .lock()
            .expect("no test panics with the lock held")
    }

    /// The page tables, in the frames.
    pub(crate) fn radix_tables(&self) -> RadixTables<Physical> {
        // SAFETY:
        // - the root is the one that the CPU of the test walks;
        // - the map reaches all frames;
        // - the test reads tables while no machine works on them.
        unsafe { RadixTables::new(PhysAddr::new(RAM), self.physical) }
    }

    /// The number of flushes that the CPU was asked for.
    pub(crate) fn flushes(&self) -> usize {
        self.books().flushes
    }

    /// Frames that were allocated and not given back.
    pub(crate) fn out(&self) -> usize {
        self.books().out.len()
    }

    /// Has the CPU touch every page of `range`. Returns how many it could translate.
    pub(crate) fn touch(&self, range: VirtRange) -> usize {
        let mut books = self.books();
        each_page(range)
            .filter(|&page| books.cached.translate(&self.physical, page).is_some())
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

// SAFETY: a frame leaves `free` when it is handed out and returns when it is given back.
unsafe impl FrameAllocator for Source {
    fn allocate_frame(&mut self) -> Option<PhysAddr> {
        let mut books = self.books();
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
        self.physical.fill(frame, JUNK);
        Some(frame)
    }
}

impl FrameDeallocator for Source {
    unsafe fn deallocate_frame(&mut self, frame: PhysAddr) {
        let mut books = self.books();
        assert!(books.out.remove(&frame), "{frame:?} was not out");
        assert!(!books.cached.holds(frame), "a CPU still caches {frame:?}");
        self.physical.fill(frame, !JUNK);
        books.free.push(frame);
    }
}

/// The TLB of the CPU that touches.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(pub(crate) Source);

// SAFETY: each fence drops the entries that its name says.
unsafe impl Fence for Cpu {
    fn page(&self, address: usize) {
        self.0.books().cached.pages.remove(&address);
    }

    fn all(&self) {
        self.0.books().cached = Cached::default();
    }
}

// SAFETY: the maintenance is that of the machine.
unsafe impl Tlb for Cpu {
    fn flush(&self, range: VirtRange) {
        Maintenance(self.clone()).flush(range);
        // A CPU may walk there again at once: to tables that are still linked.
        self.0.touch(range);
        self.0.books().flushes += 1;
    }

    fn filled(&self, range: VirtRange) {
        Maintenance(self.clone()).filled(range);
    }
}

pub(crate) type Tables = RadixTables<Physical>;
pub(crate) type Machine = Paging<Sv39, Tables, Source, Owned<Tables, Source>, Cpu>;

/// A machine over the memory of `source` that gives frames back, or holds them.
pub(crate) fn machine(source: &Source, returning: bool) -> Machine {
    // SAFETY:
    // - an `Owned` always holds the same tables and the same source;
    // - the only CPU walks these tables;
    // - every frame lies in the memory, which is not at address 0;
    // - the CPU needs no setting up;
    // - tests change no entries of reserved ranges.
    let paging = unsafe { Paging::new(source.radix_tables(), source.clone()) };
    let paging = if returning {
        paging.returning()
    } else {
        paging
    };
    paging.with_tlb(Cpu(source.clone()))
}

pub(crate) fn each_page(range: VirtRange) -> impl Iterator<Item = VirtAddr> {
    (0..range.bytes() / PAGE).map(move |i| VirtAddr::new(range.base().value() + i * PAGE))
}

pub(crate) fn range(base: usize, pages: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), pages * PAGE).expect("does not wrap")
}
