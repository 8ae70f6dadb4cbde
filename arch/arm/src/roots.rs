//! The first-level tables of a kernel, and the paging mode over them.

use core::ptr::NonNull;

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtAddr};
use archipelago_paging::{
    ForOneCpu, Level, Linear, Link, PagingMode, PhysMap, PlainFrames, RootSet, TableRef,
};

use crate::descriptor::{LINKS, Short, read_link, write_link};
use crate::maintenance::{Broadcast, Instructions, Maintenance, OneCpu};

/// The address space: 32 bits from address 0 on, in pages of 4 KiB, chunks of 2 MiB and arenas of
/// 4 MiB, which are slots.
pub const GEOMETRY: Geometry = Geometry {
    address_bits: 32,
    base: 0,
    granule_shift: 12,
    page_shift: 12,
    chunk_shift: 21,
    arena_shift: 22,
    index_root_shift: 0,
    index_table_shift: 10,
};

const _: () = GEOMETRY.check();

/// Slots of four first-level words, which link the four second-level tables in one frame.
const SLOTS: Level = Level::new(22, 10);
/// Second-level words, which map small pages.
const PAGES: Level = Level::new(12, 10);

/// Bytes from one clean to the next: no CPU of ARMv7-A has lines shorter than these eight words.
const LINE_BYTES: usize = 32;

/// Whether stores to tables must be cleaned out of the data caches before walks see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walks {
    /// Walks see the data caches: TTBR0 and TTBR1 make them cacheable, and the CPU says that they
    /// are coherent.
    Coherent,
    /// Walks see memory alone.
    Cleaned,
}

#[cfg(any(target_arch = "arm", doc))]
impl Walks {
    /// The walks of this CPU, over tables that TTBR0 and TTBR1 say are cacheable.
    #[must_use]
    pub fn of_this_cpu() -> Self {
        /// ID_MMFR3, bits 23 to 20: walks are coherent.
        const COHERENT_WALK: u32 = 0xf << 20;
        let features: u32;
        // SAFETY: every CPU of ARMv7-A has the register, and reading it changes nothing.
        unsafe {
            core::arch::asm!(
                "mrc p15, 0, {}, c0, c1, 7",
                out(reg) features,
                options(nomem, nostack, preserves_flags),
            );
        }
        if features & COHERENT_WALK == 0 {
            Self::Cleaned
        } else {
            Self::Coherent
        }
    }
}

/// The first-level tables in use, of short descriptors: TTBR0's for addresses below 2^(32−N), and
/// TTBR1's for those above, where N is TTBCR.N; with N = 0, TTBR0's for all. Memory of frames is
/// reached through `M`.
#[derive(Debug)]
pub struct Roots<M = Linear, I = Broadcast> {
    lower: NonNull<u32>,
    upper: NonNull<u32>,
    /// TTBCR.N, at most 7.
    split: u32,
    map: M,
    walks: Walks,
    instructions: I,
}

// SAFETY: the tables are mapped for every thread of the kernel, and only the value's owner uses
// them.
unsafe impl<M: Send, I: Send> Send for Roots<M, I> {}

impl<M> Roots<M> {
    /// The tables at `lower`, which TTBR0 names, and `upper`, which TTBR1 names, divided by
    /// `split`, which is TTBCR.N. With a `split` of 0, `upper` is not used.
    ///
    /// # Panics
    /// If `split` is more than the three bits of TTBCR.N hold.
    ///
    /// # Safety
    /// - The registers name these tables on every CPU that uses the heap, TTBCR.EAE is 0, and all
    ///   of both tables is readable and writable here.
    /// - Domain 0 is one whose permissions are checked (DACR).
    /// - SCTLR.TRE is 0, or the remapping registers make TEX\[0\], C, B = 111 Normal memory,
    ///   write-back, shareable where S is.
    /// - Walks see the caches if `walks` says so.
    #[must_use]
    pub const unsafe fn new(
        lower: NonNull<u32>,
        upper: NonNull<u32>,
        split: u32,
        walks: Walks,
        map: M,
    ) -> Self {
        assert!(split <= 7, "TTBCR.N has three bits");
        Self {
            lower,
            upper,
            split,
            map,
            walks,
            instructions: Broadcast::HERE,
        }
    }
}

impl<M, I> Roots<M, I> {
    /// Maintains tables by other instructions.
    #[must_use]
    pub fn with_instructions<J: Instructions>(self, instructions: J) -> Roots<M, J> {
        Roots {
            lower: self.lower,
            upper: self.upper,
            split: self.split,
            map: self.map,
            walks: self.walks,
            instructions,
        }
    }

    /// The first of the first-level words of `slot`.
    fn words(&self, slot: usize) -> NonNull<u32> {
        let first = slot % SLOTS.entries() * LINKS;
        let lower = self.split == 0 || first >> (12 - self.split) == 0;
        let table = if lower { self.lower } else { self.upper };
        // SAFETY: TTBR1's table has a word for each of 4096 MiB, and TTBR0's one for each MiB
        // below the split, which is a multiple of a slot.
        unsafe { table.add(first) }
    }

    /// The table of `slot`, a number of 4 MiB from address 0 on, modulo 1024.
    #[must_use]
    pub fn link(&self, slot: usize) -> Link {
        let first = self.words(slot);
        read_link([0, 1, 2, 3].map(|at| {
            // SAFETY: a slot has four words.
            let word = unsafe { first.add(at) };
            // SAFETY: the word is one of a first-level table, which nothing changes now.
            unsafe { word.read_volatile() }
        }))
    }
}

impl<M: PhysMap, I> Roots<M, I> {
    /// The second-level word of the page at `addr`, if a table is linked that fills a frame.
    #[must_use]
    pub fn page(&self, addr: VirtAddr) -> Option<u32> {
        let Link::Table { frame, .. } = self.link(SLOTS.index(addr)) else {
            return None;
        };
        // SAFETY: a slot links the frame as a table.
        let words: NonNull<u32> = unsafe { self.map.pointer(frame) }.cast();
        // SAFETY: the table has a word for each page of the slot.
        let word = unsafe { words.add(PAGES.index(addr)) };
        // SAFETY: the word is one of a table, and a caller that changes tables has borrowed them
        // mutably.
        Some(unsafe { word.read_volatile() })
    }
}

impl<M: PhysMap, I: Instructions> Roots<M, I> {
    /// Links the four second-level tables in `frame` in `slot`, which linked nothing. CPUs that
    /// find the links find the words of the tables that were written before.
    ///
    /// # Safety
    /// - `slot` is below 1024.
    /// - Every word of the frame is 0.
    /// - The frame belongs to the tables until the slot links it no more.
    pub unsafe fn set_link(&mut self, slot: usize, frame: PhysAddr) {
        self.instructions.dsb();
        self.write(slot, write_link(frame));
    }

    fn write(&mut self, slot: usize, words: [u32; LINKS]) {
        let first = self.words(slot);
        for (at, value) in words.into_iter().enumerate() {
            // SAFETY: a slot has four words.
            let word = unsafe { first.add(at) };
            // SAFETY: the word is one of a first-level table, which only CPUs' walks access
            // meanwhile.
            unsafe { word.write_volatile(value) };
        }
        self.clean(first, LINKS);
    }

    /// Makes `count` words, which were written from `first` on, visible to walks.
    fn clean(&self, first: NonNull<u32>, count: usize) {
        if self.walks == Walks::Coherent {
            return;
        }
        let start = first.addr().get();
        let end = start + count * size_of::<u32>();
        for line in (start & !(LINE_BYTES - 1)..end).step_by(LINE_BYTES) {
            self.instructions.clean(line);
        }
    }
}

/// The mode of [`Paging`](crate::Paging): short descriptors, with the four second-level tables of
/// 4 MiB in one frame.
#[derive(Debug)]
pub enum ShortDescriptors {}

// SAFETY:
// - a walk goes through TTBR0 or TTBR1 by the same rule as `words`, and finds the word of a page in
//   the quarter of the frame that its MiB's link names: at the page's index within 4 MiB;
// - Ready words map small pages that the kernel can read and write, and no other word of the heap's
//   is valid;
// - the memory of frames is where the map says, which was promised with it, aligned to a page;
// - only the owner of the value changes the tables.
unsafe impl<M: PhysMap, I: Instructions> PagingMode<Roots<M, I>> for ShortDescriptors {
    const GEOMETRY: Geometry = GEOMETRY;

    type IndexRoot = [IndexWord; 1 << GEOMETRY.index_root_shift];

    const LEVELS: &'static [Level] = &[SLOTS, PAGES];

    type Format = Short;

    /// First-level words have no bit for a mark.
    type OwnedTables = RootSet;

    type Frames = PlainFrames;

    type LocalTlb = Maintenance<OneCpu>;

    const LOCAL_TLB: ForOneCpu<Self::LocalTlb> = ForOneCpu::new(Maintenance(OneCpu::HERE));

    unsafe fn link(roots: &mut Roots<M, I>, _root: TableRef, slot: usize) -> Link {
        roots.link(slot)
    }

    unsafe fn set_link(roots: &mut Roots<M, I>, _root: TableRef, slot: usize, frame: PhysAddr) {
        // SAFETY:
        // - the caller promises a slot of the root;
        // - the caller promises a table of Empty words, which are 0;
        // - the caller promises the frame to the tables.
        unsafe { roots.set_link(slot, frame) };
    }

    unsafe fn clear_link(roots: &mut Roots<M, I>, _root: TableRef, slot: usize) {
        roots.write(slot, [0; LINKS]);
    }

    unsafe fn memory(roots: &Roots<M, I>, frame: PhysAddr) -> NonNull<u8> {
        // SAFETY: the caller promises that the frame is a table, or the allocator's.
        unsafe { roots.map.pointer(frame) }
    }

    unsafe fn written(roots: &Roots<M, I>, first: NonNull<u32>, count: usize) {
        roots.clean(first, count);
    }
}
