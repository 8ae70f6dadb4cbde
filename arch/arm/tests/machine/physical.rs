//! First-level tables beside physical memory, with the page walk of a CPU and a TLB that forgets
//! what instructions say.

use alloc::collections::BTreeMap;
use core::ptr::NonNull;

use archipelago_api::{PhysAddr, VirtAddr};
use archipelago_arm::maintenance::Instructions;
use archipelago_arm::{Maintenance, Owned, Paging, Roots, Walks};
use archipelago_paging_testing::{Caches, FrameMemory, Picture, Walked, giving_back};
pub(crate) use archipelago_paging_testing::{PAGE, each_page, range};

/// Words of a first-level table.
pub(crate) const FIRST_LEVEL: usize = 4096;

/// Frames, and two first-level tables. Lives until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    memory: FrameMemory,
    pub(crate) lower: NonNull<u32>,
    pub(crate) upper: NonNull<u32>,
    split: u32,
}

// SAFETY: tests read the tables while no machine works on them.
unsafe impl Send for Physical {}
// SAFETY: accesses are the tests' alone, while no machine works.
unsafe impl Sync for Physical {}

/// Leaked words of a table without links.
fn leak(words: usize) -> NonNull<u32> {
    NonNull::from(Box::leak(vec![0; words].into_boxed_slice())).cast()
}

impl Physical {
    /// Tables over memory, with the address space divided by `split`.
    pub(crate) fn divided(memory: FrameMemory, split: u32) -> Self {
        Self {
            memory,
            lower: leak(FIRST_LEVEL >> split),
            upper: leak(FIRST_LEVEL),
            split,
        }
    }

    pub(crate) fn roots(&self, walks: Walks) -> Roots<FrameMemory> {
        // SAFETY: no CPU runs on these tables, and the walk below goes by the same split.
        unsafe { Roots::new(self.lower, self.upper, self.split, walks, self.memory) }
    }

    fn word(&self, table: u32, index: usize) -> u32 {
        let within = usize::try_from(table % 4096).expect("small") / 4 + index;
        self.memory.read(frame_of(table), within)
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
}

impl Walked for Physical {
    type Cached = Remembered;

    /// The start of physical memory.
    const FIRST: u64 = 0x4000_0000;

    const JUNK: u8 = 0xa5;

    /// Tables with the address space in halves.
    fn over(memory: FrameMemory) -> Self {
        Self::divided(memory, 1)
    }

    fn memory(&self) -> FrameMemory {
        self.memory
    }

    fn ready(&self, addr: VirtAddr) -> Option<PhysAddr> {
        let word = self.second_level(addr)?;
        if word & 0b10 == 0 {
            return None;
        }
        assert_eq!(word & 1, 1, "{addr} is executable");
        Some(frame_of(word))
    }

    fn picture(&self) -> Picture {
        let mut picture = BTreeMap::new();
        for megabyte in 0..FIRST_LEVEL {
            let base = megabyte << 20;
            let link = self.first_level(VirtAddr::new(base));
            if link == 0 {
                continue;
            }
            picture.insert(vec![megabyte], u64::from(link));
            for page in 0..256 {
                let word = self.second_level(VirtAddr::new(base + page * PAGE));
                let word = word.filter(|&word| word != 0).map(u64::from);
                picture.extend(word.map(|word| (vec![megabyte, page], word)));
            }
        }
        picture
    }
}

/// The frame that a word names.
fn frame_of(word: u32) -> PhysAddr {
    PhysAddr::new(u64::from(word & 0xffff_f000))
}

/// The caches of a CPU: frames by page, and frames of tables by MiB.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pages: BTreeMap<usize, PhysAddr>,
    tables: BTreeMap<usize, PhysAddr>,
}

impl Caches<Physical> for Remembered {
    fn holds(&self, frame: PhysAddr) -> bool {
        let mut frames = self.pages.values().chain(self.tables.values());
        frames.any(|&held| held == frame)
    }

    fn translate(&mut self, physical: &Physical, page: VirtAddr) -> Option<PhysAddr> {
        let link = physical.first_level(page);
        if link & 3 == 1 {
            self.tables.insert(page.value() >> 20, frame_of(link));
        }
        if let Some(frame) = physical.ready(page) {
            self.pages.insert(page.value(), frame);
        }
        self.pages.get(&page.value()).copied()
    }
}

impl Remembered {
    /// Forgets the page at `address`, and the table that serves it.
    fn forget(&mut self, address: usize) {
        self.pages.remove(&address);
        self.tables.remove(&(address >> 20));
    }
}

pub(crate) type Source = archipelago_paging_testing::Source<Physical>;

/// The CPU that touches, as instructions make it forget. A walk may follow any of them at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu(pub(crate) Source);

// SAFETY: the only CPU forgets.
unsafe impl Instructions for Cpu {
    fn dsb(&self) {}

    fn isb(&self) {}

    fn invalidate_page(&self, address: usize) {
        self.0.books().cached.forget(address);
        self.0.flushed(range(address, 1));
    }

    fn invalidate_all(&self) {
        let cached = core::mem::take(&mut self.0.books().cached);
        for page in cached.pages.into_keys() {
            self.0.reach(VirtAddr::new(page));
        }
        // All pages but the last: as a number of bytes, the whole space has more than 32 bits.
        self.0.books().flushes.push(range(0, (1 << 20) - 1));
    }

    fn clean(&self, _address: usize) {}
}

pub(crate) type Tables = Roots<FrameMemory, Cpu>;
pub(crate) type Machine = Paging<Tables, Source, Owned<Tables, Source>, Maintenance<Cpu>>;

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
    giving_back(paging, returning).with_tlb(Maintenance(Cpu(*source)))
}

/// Has the tables maintained by `instructions`.
pub(crate) fn maintained<I: Instructions>(
    physical: &Physical,
    walks: Walks,
    instructions: I,
) -> Roots<FrameMemory, I> {
    physical.roots(walks).with_instructions(instructions)
}
