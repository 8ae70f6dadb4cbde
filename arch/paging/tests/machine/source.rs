//! The source of frames, and a CPU whose TLB holds pairs of entries, valid or not, as a MIPS one
//! does.

use alloc::collections::BTreeMap;

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::{Owned, Paging, Tlb};
use archipelago_paging_testing::{Caches, Walked as _, giving_back};

use crate::format::frame_of;
use crate::physical::{PAGE, Pages, Physical, SLOT_BYTES, Space, TwoLevel, Whole};

pub(crate) type Source = archipelago_paging_testing::Source<Physical>;

/// The translations and tables that the CPU caches.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// The two entries of each pair of pages, valid or not.
    pairs: BTreeMap<usize, [u32; 2]>,
    /// Tables by the quarter of a slot in which they were walked.
    tables: BTreeMap<usize, PhysAddr>,
}

const PAIR: usize = 2 * PAGE;
const QUARTER: usize = SLOT_BYTES / 4;

impl Caches<Physical> for Pairs {
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
        let frame = frame_of(halves[addr.value() / PAGE % 2]);
        let is_written_back = frame.is_none_or(|frame| physical.is_written_back(frame));
        assert!(
            is_written_back,
            "{addr} is damaged when the cache writes {frame:?}"
        );
        frame
    }
}

impl Pairs {
    fn forget(&mut self, range: VirtRange) {
        let meets = |unit: usize, bytes: usize| {
            VirtRange::new(VirtAddr::new(unit * bytes), bytes)
                .is_some_and(|unit| unit.overlaps(range))
        };
        self.pairs.retain(|&pair, _| !meets(pair, PAIR));
        self.tables.retain(|&quarter, _| !meets(quarter, QUARTER));
    }
}

/// The TLB of the CPU that touches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu(pub(crate) Source);

// SAFETY: the only CPU drops all that it caches of the range, valid or not.
unsafe impl Tlb for Cpu {
    fn flush(&self, range: VirtRange) {
        self.0.books().cached.forget(range);
        self.0.flushed(range);
    }

    fn filled(&self, range: VirtRange) {
        self.0.books().cached.forget(range);
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
    let paging = unsafe { Paging::new(Pages::over(source.physical), *source) };
    giving_back(paging, returning).with_tlb(Cpu(*source))
}
