//! Page tables of two levels in physical memory.
//!
//! An absent slot is not 0, and frame 0 is a frame. The data cache sees a page of the heap and the
//! frame itself as two memories.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtAddr};
use archipelago_paging::{ForOneCpu, Level, Link, PagingMode, PlainFrames, RootSet, TableRef};
use archipelago_paging_testing::{FrameMemory, Picture, Walked};
pub(crate) use archipelago_paging_testing::{PAGE, each_page, range};
use archipelago_sim::{Plain31, Plain32, SimGeometry as _};

use crate::format::{EMPTY, Entries, frame_of};
use crate::source::Pairs;

/// Bytes of address space that an entry of the root, a slot, translates.
pub(crate) const SLOT_BYTES: usize = 4 << 20;

/// The bits of a root entry that name a frame.
const FRAME: u32 = 0xffff_f000;

/// A slot without a table.
const ABSENT: u32 = 0xdead_0000;
/// A slot that the kernel maps as a whole.
pub(crate) const BLOCK: u32 = 0xb10c_0001;

/// Frames, and the root table beside them. Lives until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    memory: FrameMemory,
    slots: &'static Mutex<Vec<u32>>,
    /// Frames with lines in the cache that were written where the machine reaches frames.
    dirty: &'static Mutex<BTreeSet<PhysAddr>>,
}

impl Physical {
    fn dirty(&self) -> MutexGuard<'_, BTreeSet<PhysAddr>> {
        self.dirty
            .lock()
            .expect("no test panics with the lock held")
    }

    pub(crate) fn slots(&self) -> MutexGuard<'_, Vec<u32>> {
        self.slots
            .lock()
            .expect("no test panics with the lock held")
    }

    /// The table that serves `addr`.
    pub(crate) fn table(&self, addr: VirtAddr) -> Option<PhysAddr> {
        let word = self.slots()[addr.value() / SLOT_BYTES];
        (word & !FRAME == 0 && word != ABSENT).then(|| PhysAddr::new(u64::from(word)))
    }

    /// The entry of the page at `addr`, as a refill of the TLB finds it.
    pub(crate) fn walk(&self, addr: VirtAddr) -> u32 {
        let table = self.table(addr);
        table.map_or(EMPTY, |table| self.memory.read(table, addr.value() / PAGE))
    }

    /// Writes the entry of the page at `addr` as the kernel does, into a table that it made.
    pub(crate) fn map(&self, addr: VirtAddr, entry: u32) {
        let table = self.table(addr).expect("a table is there");
        self.memory.write(table, addr.value() / PAGE, entry);
    }

    /// Links a table of the kernel's, all empty.
    pub(crate) fn link(&self, addr: VirtAddr, table: PhysAddr) {
        for index in 0..1024 {
            self.memory.write(table, index, EMPTY);
        }
        self.slots()[addr.value() / SLOT_BYTES] = u32::try_from(table.value()).expect("small");
    }
}

impl Walked for Physical {
    type Cached = Pairs;

    const FIRST: u64 = 0;

    /// Entries of this byte are the kernel's.
    const JUNK: u8 = 0xa6;

    fn over(memory: FrameMemory) -> Self {
        Self {
            memory,
            slots: Box::leak(Box::new(Mutex::new(vec![ABSENT; 1024]))),
            dirty: Box::leak(Box::default()),
        }
    }

    fn memory(&self) -> FrameMemory {
        self.memory
    }

    fn is_written_back(&self, frame: PhysAddr) -> bool {
        !self.dirty().contains(&frame)
    }

    fn ready(&self, addr: VirtAddr) -> Option<PhysAddr> {
        frame_of(self.walk(addr))
    }

    fn picture(&self) -> Picture {
        let links: Vec<_> = self.slots().clone();
        let mut picture = BTreeMap::new();
        for (slot, word) in links.into_iter().enumerate().filter(|&(_, w)| w != ABSENT) {
            picture.insert(vec![slot], u64::from(word));
            for index in 0..1024 {
                let entry = self.walk(VirtAddr::new(slot * SLOT_BYTES + index * PAGE));
                if entry != EMPTY {
                    picture.insert(vec![slot, index], u64::from(entry));
                }
            }
        }
        picture
    }
}

/// The shapes of address space under test.
pub(crate) trait Space: Send + 'static {
    const GEOMETRY: Geometry;
}

/// 32 bits.
pub(crate) enum Whole {}
/// The lower 31 bits.
pub(crate) enum Lower {}
/// The uppermost 30 bits.
pub(crate) enum Upper {}

impl Space for Whole {
    const GEOMETRY: Geometry = Plain32::GEOMETRY;
}
impl Space for Lower {
    const GEOMETRY: Geometry = Plain31::GEOMETRY;
}
impl Space for Upper {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 30,
        base: 0xc000_0000,
        index_table_shift: 8,
        ..Plain32::GEOMETRY
    };
}

/// The kernel's tables.
pub(crate) struct Pages<S = Whole>(Physical, core::marker::PhantomData<S>);

impl<S> Pages<S> {
    pub(crate) fn over(physical: Physical) -> Self {
        Self(physical, core::marker::PhantomData)
    }
}

/// Two levels: slots of the root, each with a table in one frame.
pub(crate) enum TwoLevel {}

// SAFETY:
// - `Physical::walk` goes through the links that this returns;
// - it takes entries as the format has them;
// - `memory` is the frame's, aligned to a page;
// - the tests read tables while no machine works on them.
unsafe impl<S: Space> PagingMode<Pages<S>> for TwoLevel {
    const GEOMETRY: Geometry = S::GEOMETRY;
    type IndexRoot = [IndexWord; 1];
    const LEVELS: &'static [Level] = &[Level::new(22, 10), Level::new(12, 10)];
    type Format = Entries;
    type OwnedTables = RootSet;
    type Frames = PlainFrames;
    type LocalTlb = ();
    const LOCAL_TLB: ForOneCpu<()> = ForOneCpu::new(());

    unsafe fn link(pages: &mut Pages<S>, table: TableRef, slot: usize) -> Link {
        assert_eq!(table, TableRef::Root);
        match pages.0.slots()[slot] {
            ABSENT => Link::Empty,
            BLOCK => Link::Kernel,
            frame => Link::Table {
                frame: PhysAddr::new(u64::from(frame)),
                owned: false,
            },
        }
    }

    unsafe fn set_link(pages: &mut Pages<S>, table: TableRef, slot: usize, frame: PhysAddr) {
        assert_eq!(table, TableRef::Root);
        let word = u32::try_from(frame.value()).expect("small");
        let before = core::mem::replace(&mut pages.0.slots()[slot], word);
        assert_eq!(before, ABSENT);
        let first = VirtAddr::new(slot * SLOT_BYTES);
        for page in (0..1024).map(|i| VirtAddr::new(first.value() + i * PAGE)) {
            assert_eq!(pages.0.walk(page), EMPTY, "linked before it was empty");
        }
    }

    unsafe fn clear_link(pages: &mut Pages<S>, table: TableRef, slot: usize) {
        assert_eq!(table, TableRef::Root);
        pages.0.slots()[slot] = ABSENT;
    }

    unsafe fn memory(pages: &Pages<S>, frame: PhysAddr) -> NonNull<u8> {
        pages.0.dirty().insert(frame);
        pages.0.memory.place(frame)
    }

    unsafe fn leaves(pages: &Pages<S>, frame: PhysAddr) {
        pages.0.dirty().remove(&frame);
    }
}
