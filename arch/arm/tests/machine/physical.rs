//! Physical memory made of ordinary memory, with first-level tables beside it, the page walk of a
//! CPU, a TLB that forgets what instructions say, and a source of frames.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_arm::maintenance::Instructions;
use archipelago_arm::{
    FrameAllocator, FrameDeallocator, Maintenance, Owned, Paging, PhysMap, Roots, Walks,
};

pub(crate) const PAGE: usize = 4096;
/// The start of physical memory.
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

/// Leaked words, filled with `word`.
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
    /// - `frames` pages from `base` belong to the caller and are never freed.
    /// - `base` is aligned to a page.
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

    /// The memory of a frame.
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

    /// Every word that is not 0, by its place: in the first level, or by the page. Two equal
    /// pictures translate every address alike.
    pub(crate) fn picture(&self) -> BTreeMap<(usize, usize), u32> {
        let mut picture = BTreeMap::new();
        for megabyte in 0..FIRST_LEVEL {
            let base = megabyte << 20;
            let link = self.first_level(VirtAddr::new(base));
            if link == 0 {
                continue;
            }
            picture.insert((1, megabyte), link);
            for page in (0..256).map(|page| base + page * PAGE) {
                let word = self.second_level(VirtAddr::new(page));
                picture.extend(word.filter(|&word| word != 0).map(|word| ((2, page), word)));
            }
        }
        picture
    }

    /// The number of the frame that `addr` translates to.
    pub(crate) fn ready(&self, addr: VirtAddr) -> Option<usize> {
        let word = self.second_level(addr)?;
        if word & 0b10 == 0 {
            return None;
        }
        assert_eq!(word & 1, 1, "{addr} is executable");
        Some(number(word))
    }
}

// SAFETY: frames lie in the memory, at their number.
unsafe impl PhysMap for Physical {
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8> {
        NonNull::new(self.frame(frame).cast()).expect("ordinary memory")
    }
}

/// The record of the frames, and the plan for requests for them.
#[derive(Debug, Default)]
struct Books {
    free: Vec<usize>,
    out: BTreeSet<usize>,
    /// Requests still served before one fails.
    fail_after: Option<usize>,
    /// Whether those after it fail too.
    fail_on: bool,
    remembered: Remembered,
    flushes: usize,
}

/// The caches of a CPU: frames by page, and frames of tables by MiB.
#[derive(Debug, Default)]
struct Remembered {
    pages: BTreeMap<usize, usize>,
    tables: BTreeMap<usize, usize>,
}

impl Remembered {
    fn holds(&self, frame: usize) -> bool {
        let mut frames = self.pages.values().chain(self.tables.values());
        frames.any(|&held| held == frame)
    }

    /// Walks to `page` and caches the entries on the way. Returns whether a translation is cached,
    /// now or from before.
    fn walk(&mut self, physical: &Physical, page: VirtAddr) -> bool {
        let link = physical.first_level(page);
        if link & 3 == 1 {
            self.tables.insert(page.value() >> 20, number(link));
        }
        if let Some(frame) = physical.ready(page) {
            self.pages.insert(page.value(), frame);
        }
        self.pages.contains_key(&page.value())
    }
}

/// The number of the frame that a word names.
fn number(word: u32) -> usize {
    usize::try_from(u64::from(word & 0xffff_f000) - RAM).expect("small") / PAGE
}

/// Hands out the frames of physical memory, beside a CPU that touches memory and remembers where it
/// found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) physical: Physical,
    books: &'static Mutex<Books>,
}

impl Source {
    /// With the address space in halves.
    pub(crate) fn new(frames: usize) -> Self {
        Self::over(Physical::new(frames, 1))
    }

    pub(crate) fn over(physical: Physical) -> Self {
        let books = Books {
            free: (0..physical.frames).rev().collect(),
            ..Books::default()
        };
        Self {
            physical,
            books: Box::leak(Box::new(Mutex::new(books))),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books
            .lock()
            .expect("no test panics with the lock held")
    }

    /// The number of flushes that the CPU was asked for.
    pub(crate) fn flushes(&self) -> usize {
        self.books().flushes
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
        let number = books.free.pop()?;
        books.out.insert(number);
        Some(PhysAddr::new(RAM + number as u64 * PAGE as u64))
    }
}

impl FrameDeallocator for Source {
    unsafe fn deallocate_frame(&mut self, frame: PhysAddr) {
        let number = number(u32::try_from(frame.value()).expect("32 bits"));
        let mut books = self.books();
        assert!(books.out.remove(&number), "{frame:?} was not out");
        assert!(
            !books.remembered.holds(number),
            "a CPU still remembers {frame:?}"
        );
        books.free.push(number);
    }
}

/// The CPU that touches, as instructions make it forget. A walk may follow any of them at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu(pub(crate) Source);

// SAFETY: the only CPU forgets.
unsafe impl Instructions for Cpu {
    fn dsb(&self) {}

    fn isb(&self) {}

    fn invalidate_page(&self, address: usize) {
        let mut books = self.0.books();
        books.flushes += 1;
        books.remembered.pages.remove(&address);
        books.remembered.tables.remove(&(address >> 20));
        let page = VirtAddr::new(address);
        books.remembered.walk(&self.0.physical, page);
    }

    fn invalidate_all(&self) {
        let mut books = self.0.books();
        books.flushes += 1;
        let remembered = core::mem::take(&mut books.remembered);
        for page in remembered.pages.into_keys() {
            let page = VirtAddr::new(page);
            books.remembered.walk(&self.0.physical, page);
        }
    }

    fn clean(&self, _address: usize) {}
}

pub(crate) type Machine =
    Paging<Roots<Physical, Cpu>, Source, Owned<Roots<Physical, Cpu>, Source>, Maintenance<Cpu>>;

/// A machine over `source`'s memory that gives frames back, or holds them.
pub(crate) fn machine(source: &Source, returning: bool) -> Machine {
    let roots = maintained(&source.physical, Walks::Coherent, Cpu(*source));
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let paging = unsafe { Paging::new(roots, *source) };
    let paging = if returning {
        paging.returning()
    } else {
        paging
    };
    paging.with_tlb(Maintenance(Cpu(*source)))
}

/// Has the tables maintained by `instructions`.
pub(crate) fn maintained<I: Instructions>(
    physical: &Physical,
    walks: Walks,
    instructions: I,
) -> Roots<Physical, I> {
    physical.roots(walks).with_instructions(instructions)
}

pub(crate) fn each_page(range: VirtRange) -> impl Iterator<Item = VirtAddr> {
    (0..range.bytes() / PAGE).map(move |i| VirtAddr::new(range.base().value() + i * PAGE))
}

pub(crate) fn range(base: usize, pages: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), pages * PAGE).expect("does not wrap")
}
