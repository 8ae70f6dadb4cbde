//! Four levels of page tables in physical memory, and the page walk of a CPU, written apart from
//! the library so that it can judge it.

use alloc::collections::BTreeMap;
use core::ops::Deref;

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::{AdjacentFrames, FrameAllocator as _, FrameDeallocator as _};
use archipelago_paging_testing::{Caches, FrameMemory, Picture, Walked, giving_back};
pub(crate) use archipelago_paging_testing::{PAGE, range};
use archipelago_x86_64::{PageTables, Paging, Tlb};
use x86_64::structures::paging::mapper::PageTableFrameMapping;
use x86_64::structures::paging::{
    FrameAllocator, FrameDeallocator, MappedPageTable, OffsetPageTable, PageTable, PhysFrame,
    Size4KiB,
};

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const HUGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const FRAME: u64 = 0x000f_ffff_ffff_f000;

/// The frame of the level-4 table, number 1. Number 0 is a frame like any other.
const LEVEL_4: PhysAddr = PhysAddr::new(0x1000);

/// Frames from address 0 on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    memory: FrameMemory,
}

/// The frame that a word names.
fn frame_of(word: u64) -> PhysAddr {
    PhysAddr::new(word & FRAME)
}

impl Physical {
    /// The way of a CPU's page walk to `address`: the page-table words from level 4 down,
    /// as far as they are present.
    fn path(&self, address: VirtAddr) -> Vec<u64> {
        let mut words = Vec::new();
        let mut table = LEVEL_4;
        for shift in [39, 30, 21, 12] {
            let word = self.memory.read::<u64>(table, address.value() >> shift);
            words.push(word);
            if word & PRESENT == 0 || (shift != 12 && word & HUGE != 0) {
                break;
            }
            table = frame_of(word);
        }
        words
    }

    /// Frames of the tables between the level-4 table and `address`.
    pub(crate) fn tables(&self, address: VirtAddr) -> Vec<PhysAddr> {
        let path = self.path(address);
        let links = path
            .iter()
            .take(3)
            .filter(|&&word| word & PRESENT != 0 && word & HUGE == 0);
        links.copied().map(frame_of).collect()
    }

    fn draw(&self, table: PhysAddr, level: u32, place: &mut Vec<usize>, picture: &mut Picture) {
        for index in 0..512 {
            let word = self.memory.read::<u64>(table, index);
            if word == 0 {
                continue;
            }
            place.push(index);
            picture.insert(place.clone(), word);
            if level > 1 && word & PRESENT != 0 && word & HUGE == 0 {
                self.draw(frame_of(word), level - 1, place, picture);
            }
            place.pop();
        }
    }

    fn level_4(&self) -> &'static mut PageTable {
        let mut table = self.memory.place(LEVEL_4).cast();
        // SAFETY:
        // - the frame lives for ever and is aligned;
        // - a table is words, and all bits of a frame have values;
        // - each test makes one mapper of it.
        unsafe { table.as_mut() }
    }
}

impl Walked for Physical {
    type Cached = Remembered;

    const FIRST: u64 = 0;

    const JUNK: u8 = 0xa5;

    fn over(memory: FrameMemory) -> Self {
        memory.fill(LEVEL_4, 0);
        Self { memory }
    }

    fn memory(&self) -> FrameMemory {
        self.memory
    }

    fn root(&self) -> Option<PhysAddr> {
        Some(LEVEL_4)
    }

    fn ready(&self, address: VirtAddr) -> Option<PhysAddr> {
        let path = self.path(address);
        if path.len() < 4
            || path
                .iter()
                .any(|word| word & (PRESENT | WRITABLE) != PRESENT | WRITABLE)
        {
            return None;
        }
        assert_ne!(path[3] & NO_EXECUTE, 0, "{address} is executable");
        Some(frame_of(path[3]))
    }

    fn picture(&self) -> Picture {
        let mut picture = BTreeMap::new();
        self.draw(LEVEL_4, 4, &mut Vec::new(), &mut picture);
        picture
    }
}

// SAFETY: every frame is mapped, at its number past the base.
unsafe impl PageTableFrameMapping for Physical {
    fn frame_to_pointer(&self, frame: PhysFrame) -> *mut PageTable {
        let frame = PhysAddr::new(frame.start_address().as_u64());
        self.memory.place(frame).cast().as_ptr()
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
        let base = physical.memory.place(PhysAddr::new(0));
        let offset = x86_64::VirtAddr::new(base.expose_provenance().get() as u64);
        // SAFETY: the level-4 table is empty, and frame n lies n frames above the offset.
        unsafe { OffsetPageTable::new(physical.level_4(), offset) }
    }
}

/// The part of the page tables that a CPU caches.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// Frames by page.
    pages: BTreeMap<usize, PhysAddr>,
    /// Frames of tables, by the addresses that they serve.
    tables: BTreeMap<(usize, usize), PhysAddr>,
}

impl Caches<Physical> for Remembered {
    fn holds(&self, frame: PhysAddr) -> bool {
        self.pages
            .values()
            .chain(self.tables.values())
            .any(|&held| held == frame)
    }

    /// Walks in any case, as CPUs also do without an instruction that asks for it.
    fn translate(&mut self, physical: &Physical, page: VirtAddr) -> Option<PhysAddr> {
        if let Some(frame) = physical.ready(page) {
            self.pages.insert(page.value(), frame);
        }
        for (frame, shift) in physical.tables(page).into_iter().zip([39, 30, 21]) {
            let served = (page.value() >> shift << shift, 1 << shift);
            self.tables.insert(served, frame);
        }
        self.pages.get(&page.value()).copied()
    }
}

impl Remembered {
    fn forget(&mut self, range: VirtRange) {
        self.pages
            .retain(|&page, _| !range.contains(VirtAddr::new(page)));
        self.tables.retain(|&(base, bytes), _| {
            !VirtRange::new(VirtAddr::new(base), bytes).is_some_and(|served| served.overlaps(range))
        });
    }
}

/// The source of frames, for the traits of the `x86_64` crate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) archipelago_paging_testing::Source<Physical>);

impl Source {
    pub(crate) fn new(frames: usize) -> Self {
        Self(archipelago_paging_testing::Source::new(frames))
    }
}

impl Deref for Source {
    type Target = archipelago_paging_testing::Source<Physical>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

// SAFETY: the frames are those of the inner source.
unsafe impl FrameAllocator<Size4KiB> for Source {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let frame = self.0.allocate_frame()?;
        let start = x86_64::PhysAddr::new(frame.value());
        Some(PhysFrame::containing_address(start))
    }
}

// SAFETY: the frames are those of the inner source.
unsafe impl AdjacentFrames for Source {
    fn allocate_adjacent(&mut self, count: usize, align: usize) -> Option<PhysAddr> {
        self.0.allocate_adjacent(count, align)
    }
}

impl FrameDeallocator<Size4KiB> for Source {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        let frame = PhysAddr::new(frame.start_address().as_u64());
        // SAFETY:
        // - the caller promises that the frame was allocated here;
        // - the caller promises that nothing uses it.
        unsafe { self.0.deallocate_frame(frame) };
    }
}

/// The TLB of the CPU that touches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu(pub(crate) Source);

// SAFETY: the only CPU drops all that it caches of the range.
unsafe impl Tlb for Cpu {
    fn flush(&self, range: VirtRange) {
        self.0.books().cached.forget(range);
        self.0.flushed(range);
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
    let paging = unsafe { Paging::new(P::over(source.physical), *source) };
    giving_back(paging, returning).with_tlb(Cpu(*source))
}
