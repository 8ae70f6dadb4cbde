//! Physical memory made of ordinary memory, and page tables of two levels in it.
//!
//! An absent slot is not 0, and frame 0 is a frame.

use alloc::collections::BTreeMap;
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::{Level, Link, PagingMode, PlainFrames, RootSet, TableRef};
use archipelago_sim::{Plain31, Plain32, SimGeometry as _};

use crate::format::{EMPTY, Entries, frame_of};

pub(crate) const PAGE: usize = 4096;
/// Bytes of address space that an entry of the root, a slot, translates.
pub(crate) const SLOT_BYTES: usize = 4 << 20;
/// The contents of a frame that is handed out. Read as an entry they are the kernel's.
pub(crate) const JUNK: u8 = 0xa6;

/// The bits of a root entry that name a frame.
const FRAME: u32 = 0xffff_f000;

/// A slot without a table.
const ABSENT: u32 = 0xdead_0000;
/// A slot that the kernel maps as a whole.
pub(crate) const BLOCK: u32 = 0xb10c_0001;

#[repr(C, align(4096))]
struct Frame([u32; 1024]);

/// Frames, and the root table beside them. Lives until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    base: *mut Frame,
    pub(crate) frames: usize,
    slots: &'static Mutex<Vec<u32>>,
}

// SAFETY: the memory is reached through the frames' owners alone: the source hands each out once,
// and tests read tables while no machine works on them.
unsafe impl Send for Physical {}
// SAFETY: as above.
unsafe impl Sync for Physical {}

impl Physical {
    pub(crate) fn new(frames: usize) -> Self {
        let junk = u32::from_ne_bytes([JUNK; 4]);
        let memory: Vec<Frame> = (0..frames).map(|_| Frame([junk; 1024])).collect();
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
        Self {
            base: base.cast(),
            frames,
            slots: Box::leak(Box::new(Mutex::new(vec![ABSENT; 1024]))),
        }
    }

    fn frame(&self, frame: PhysAddr) -> *mut Frame {
        let number = usize::try_from(frame.value()).expect("small") / PAGE;
        assert!(number < self.frames, "no such frame: {number:#x}");
        self.base.wrapping_add(number)
    }

    pub(crate) fn fill(&self, frame: PhysAddr, byte: u8) {
        // SAFETY: `frame` checked that it lies in the memory, and its owner asks.
        unsafe { self.frame(frame).write_bytes(byte, 1) };
    }

    fn entry(&self, table: PhysAddr, index: usize) -> *mut u32 {
        self.frame(table).cast::<u32>().wrapping_add(index % 1024)
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
        let Some(table) = self.table(addr) else {
            return EMPTY;
        };
        // SAFETY: a word of a frame, and no machine works on the tables while a test reads.
        unsafe { self.entry(table, addr.value() / PAGE).read() }
    }

    /// Writes the entry of the page at `addr` as the kernel does, into a table that it made.
    pub(crate) fn map(&self, addr: VirtAddr, entry: u32) {
        let table = self.table(addr).expect("a table is there");
        // SAFETY: as in `walk`.
        unsafe { self.entry(table, addr.value() / PAGE).write(entry) };
    }

    /// Links a table of the kernel's, all empty.
    pub(crate) fn link(&self, addr: VirtAddr, table: PhysAddr) {
        for index in 0..1024 {
            // SAFETY: the kernel's own frame.
            unsafe { self.entry(table, index).write(EMPTY) };
        }
        self.slots()[addr.value() / SLOT_BYTES] = u32::try_from(table.value()).expect("small");
    }

    /// The frame of the page at `addr`, if the tables translate it.
    pub(crate) fn ready(&self, addr: VirtAddr) -> Option<PhysAddr> {
        frame_of(self.walk(addr))
    }

    /// Every link, and every entry that is not empty. Two equal pictures translate alike.
    pub(crate) fn picture(&self) -> BTreeMap<usize, u32> {
        let links: Vec<_> = self.slots().clone();
        let mut picture = BTreeMap::new();
        for (slot, word) in links.into_iter().enumerate().filter(|&(_, w)| w != ABSENT) {
            picture.insert(slot * SLOT_BYTES + 1, word);
            for page in (0..1024).map(|i| VirtAddr::new(slot * SLOT_BYTES + i * PAGE)) {
                let entry = self.walk(page);
                if entry != EMPTY {
                    picture.insert(page.value(), entry);
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
// - the formats under test keep the rules;
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
    const LOCAL_TLB: () = ();

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
        NonNull::new(pages.0.frame(frame).cast()).expect("ordinary memory")
    }
}

pub(crate) fn each_page(range: VirtRange) -> impl Iterator<Item = VirtAddr> {
    (0..range.bytes() / PAGE).map(move |i| VirtAddr::new(range.base().value() + i * PAGE))
}

pub(crate) fn range(base: usize, pages: usize) -> VirtRange {
    VirtRange::new(VirtAddr::new(base), pages * PAGE).expect("does not wrap")
}
