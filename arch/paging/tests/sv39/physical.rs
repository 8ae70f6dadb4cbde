//! Page tables in physical memory, and a CPU that walks them by code of its own and caches entries,
//! valid or not, and links to tables.

use alloc::collections::BTreeMap;

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::{Owned, Paging, RadixTables, Tlb};
use archipelago_paging_testing::{Caches, FrameMemory, Picture, Walked, giving_back};
pub(crate) use archipelago_paging_testing::{PAGE, each_page, range};

use crate::machine::{Fence, Maintenance, Sv39};

/// The physical address of the first frame, which holds the root table.
pub(crate) const RAM: u64 = 0x8000_0000;

/// Frames from [`RAM`] on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    memory: FrameMemory,
}

impl Physical {
    /// The entries on a CPU's way to `address`, from the root down to the first that links no
    /// table.
    fn path(&self, address: VirtAddr) -> Vec<u64> {
        let mut path = Vec::new();
        let mut table = PhysAddr::new(RAM);
        for shift in [30, 21, 12] {
            let word = self.memory.read::<u64>(table, address.value() >> shift);
            path.push(word);
            if word & 0b1111 != 1 {
                break;
            }
            table = frame_of(word);
        }
        path
    }

    /// The frames of the tables below the root on the way to `address`.
    pub(crate) fn tables(&self, address: VirtAddr) -> Vec<PhysAddr> {
        let path = self.path(address).into_iter().take(2);
        let links = path.filter(|&word| word & 0b1111 == 1);
        links.map(frame_of).collect()
    }
}

impl Walked for Physical {
    type Cached = Cached;

    const FIRST: u64 = RAM;

    const JUNK: u8 = 0xa7;

    fn over(memory: FrameMemory) -> Self {
        memory.fill(PhysAddr::new(RAM), 0);
        Self { memory }
    }

    fn memory(&self) -> FrameMemory {
        self.memory
    }

    fn root(&self) -> Option<PhysAddr> {
        Some(PhysAddr::new(RAM))
    }

    fn ready(&self, address: VirtAddr) -> Option<PhysAddr> {
        let path = self.path(address);
        let &word = path.get(2)?;
        if word & 0b111 != 0b111 {
            return None;
        }
        assert_eq!(word & 0b11000, 0, "{address} is executable, or the user's");
        Some(frame_of(word))
    }

    fn picture(&self) -> Picture {
        let mut picture = BTreeMap::new();
        let mut open = vec![(PhysAddr::new(RAM), Vec::new())];
        while let Some((table, place)) = open.pop() {
            for index in 0..512 {
                let word = self.memory.read::<u64>(table, index);
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

/// The caches of a CPU.
#[derive(Debug, Default)]
pub(crate) struct Cached {
    /// The frame of a page, or its absence.
    pages: BTreeMap<usize, Option<PhysAddr>>,
    /// The frames of tables, by the addresses that they translate: bits from `shift` up, `shift`.
    tables: BTreeMap<(usize, u32), PhysAddr>,
}

impl Caches<Physical> for Cached {
    fn holds(&self, frame: PhysAddr) -> bool {
        let mut frames = self.pages.values().flatten().chain(self.tables.values());
        frames.any(|&held| held == frame)
    }

    fn translate(&mut self, physical: &Physical, page: VirtAddr) -> Option<PhysAddr> {
        for (table, shift) in physical.tables(page).into_iter().zip([30, 21]) {
            self.tables.insert((page.value() >> shift, shift), table);
        }
        let walk = || physical.ready(page);
        *self.pages.entry(page.value()).or_insert_with(walk)
    }
}

pub(crate) type Source = archipelago_paging_testing::Source<Physical>;

/// The page tables, in the frames.
pub(crate) fn radix_tables(source: &Source) -> RadixTables<FrameMemory> {
    // SAFETY:
    // - the root is the one that the CPU of the test walks;
    // - the map reaches all frames;
    // - the test reads tables while no machine works on them.
    unsafe { RadixTables::new(PhysAddr::new(RAM), source.physical.memory()) }
}

/// The TLB of the CPU that touches.
#[derive(Clone, Copy, Debug)]
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
        Maintenance(*self).flush(range);
        self.0.flushed(range);
    }

    fn filled(&self, range: VirtRange) {
        Maintenance(*self).filled(range);
    }
}

pub(crate) type Tables = RadixTables<FrameMemory>;
pub(crate) type Machine = Paging<Sv39, Tables, Source, Owned<Tables, Source>, Cpu>;

/// A machine over the memory of `source` that gives frames back, or holds them.
pub(crate) fn machine(source: &Source, returning: bool) -> Machine {
    // SAFETY:
    // - an `Owned` always holds the same tables and the same source;
    // - the only CPU walks these tables;
    // - every frame lies in the memory, which is not at address 0;
    // - the CPU needs no setting up;
    // - tests change no entries of reserved ranges.
    let paging = unsafe { Paging::new(radix_tables(source), *source) };
    giving_back(paging, returning).with_tlb(Cpu(*source))
}
