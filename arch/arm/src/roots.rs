//! The first-level tables of a kernel.

use core::ptr::{self, NonNull};

use archipelago_api::{Geometry, IndexWord, PhysAddr, VirtAddr};
use archipelago_paging::{Directory, Link, SLOT_BYTES};

use crate::descriptor::{LINKS, Short, read_link, write_link};
use crate::maintenance::{Broadcast, Instructions, Maintenance};

const PAGE_BYTES: usize = 4096;

/// Bytes between cleans: no CPU of ARMv7-A has shorter lines than these eight words.
const LINE_BYTES: usize = 32;

/// How the memory of frames is reached.
///
/// # Safety
/// An implementor promises that the memory of every frame of the kernel's frame source, and of
/// every second-level table that fills a frame, is where it says, readable and writable.
pub unsafe trait Reach: Send + 'static {
    /// Where `frame` is mapped.
    ///
    /// # Safety
    /// The frame is one of the kernel's frame source, or a table; it is not mapped at address 0.
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8>;
}

/// Physical memory is mapped at its own addresses and an offset, which may be 0.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    offset: usize,
}

impl Linear {
    /// Physical address 0 is at address `offset`; sums wrap.
    ///
    /// # Safety
    /// Every frame that the kernel's source hands out, and every table in use, is mapped there,
    /// read-write, as Normal memory, and never at address 0.
    #[must_use]
    pub const unsafe fn at(offset: usize) -> Self {
        Self { offset }
    }
}

// SAFETY: whoever made it promised it.
unsafe impl Reach for Linear {
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8> {
        // Frames lie below 4 GiB, as their source promises.
        let address = usize::try_from(frame.value()).unwrap_or(0);
        let pointer = ptr::with_exposed_provenance_mut(address.wrapping_add(self.offset));
        // SAFETY: no frame is mapped at address 0.
        unsafe { NonNull::new_unchecked(pointer) }
    }
}

/// Whether stores to tables must be cleaned out of the data caches before walks see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walks {
    /// Walks see what is in the caches: cacheable by TTBR0 and TTBR1, on a CPU that says so.
    Coherent,
    /// They do not.
    Cleaned,
}

#[cfg(target_arch = "arm")]
impl Walks {
    /// What this CPU says of walks of tables that TTBR0 and TTBR1 say are cacheable.
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
/// TTBR1's for those above, where N is TTBCR.N; with N = 0, TTBR0's for all.
///
/// See the [crate's page](crate) for what it asks of the CPU's settings.
#[derive(Debug)]
pub struct Roots<M = Linear, I = Broadcast> {
    lower: NonNull<u32>,
    upper: NonNull<u32>,
    /// TTBCR.N, at most 7.
    split: u32,
    reach: M,
    walks: Walks,
    instructions: I,
}

// SAFETY: the tables are reached from wherever the value is, and by its owner alone.
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
    /// - SCTLR.TRE is 0, or what the remapping registers say for TEX\[0\], C, B = 111 is Normal
    ///   memory, write-back, shareable where S is.
    /// - Walks are as `walks` says.
    #[must_use]
    pub const unsafe fn new(
        lower: NonNull<u32>,
        upper: NonNull<u32>,
        split: u32,
        walks: Walks,
        reach: M,
    ) -> Self {
        assert!(split <= 7, "TTBCR.N has three bits");
        Self {
            lower,
            upper,
            split,
            reach,
            walks,
            instructions: Broadcast,
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
            reach: self.reach,
            walks: self.walks,
            instructions,
        }
    }

    /// The first of the first-level words of `slot`.
    fn words(&self, slot: usize) -> NonNull<u32> {
        let first = slot * LINKS;
        let lower = self.split == 0 || first >> (12 - self.split) == 0;
        let table = if lower { self.lower } else { self.upper };
        // SAFETY: TTBR1's table has a word for each of 4096 MiB, and TTBR0's one for each MiB
        // below the split, which is a multiple of a slot.
        unsafe { table.add(first) }
    }
}

impl<M: Reach, I> Roots<M, I> {
    /// The second-level word of the page at `addr`, if a table is linked that fills a frame.
    #[must_use]
    pub fn page(&self, addr: VirtAddr) -> Option<u32> {
        let Link::Table(frame) = read_link(self.read(addr.value() / SLOT_BYTES)) else {
            return None;
        };
        // SAFETY: a slot links the frame as a table.
        let words: NonNull<u32> = unsafe { self.reach.pointer(frame) }.cast();
        // SAFETY: the table has a word for each page of the slot.
        let word = unsafe { words.add(addr.value() % SLOT_BYTES / PAGE_BYTES) };
        // SAFETY: as above; whoever changes tables has them borrowed mutably.
        Some(unsafe { word.read_volatile() })
    }

    fn read(&self, slot: usize) -> [u32; LINKS] {
        let first = self.words(slot);
        [0, 1, 2, 3].map(|at| {
            // SAFETY: a slot has four words.
            let word = unsafe { first.add(at) };
            // SAFETY: a word of a first-level table, which nobody changes now.
            unsafe { word.read_volatile() }
        })
    }
}

impl<M: Reach, I: Instructions> Roots<M, I> {
    fn write(&mut self, slot: usize, words: [u32; LINKS]) {
        let first = self.words(slot);
        for (at, value) in words.into_iter().enumerate() {
            // SAFETY: a slot has four words.
            let word = unsafe { first.add(at) };
            // SAFETY: a word of a first-level table, which nobody else accesses but walks do.
            unsafe { word.write_volatile(value) };
        }
        self.written(first, LINKS);
    }
}

// SAFETY:
// - a walk goes through TTBR0 or TTBR1 by the same rule as `words`, and finds the word of a page in
//   the quarter of the frame that its MiB's link names: at the page's number within 4 MiB;
// - the memory of frames is where `reach` says, which was promised with it; a page is aligned to 8;
// - whoever made the value owns the tables.
unsafe impl<M: Reach, I: Instructions> Directory for Roots<M, I> {
    const GEOMETRY: Geometry = Geometry::PLAIN_32;

    type IndexRoot = [IndexWord; 1 << Geometry::PLAIN_32.index_root_shift];

    type Format = Short;

    type LocalTlb = Maintenance<Broadcast>;

    const LOCAL_TLB: Self::LocalTlb = Maintenance(Broadcast);

    fn link(&mut self, slot: usize) -> Link {
        read_link(self.read(slot))
    }

    unsafe fn set_link(&mut self, slot: usize, table: PhysAddr) {
        // The entries of the table before the link.
        self.instructions.dsb();
        self.write(slot, write_link(table));
    }

    unsafe fn clear_link(&mut self, slot: usize) {
        self.write(slot, [0; LINKS]);
    }

    unsafe fn memory(&self, frame: PhysAddr) -> NonNull<u8> {
        // SAFETY: the caller promises what is asked for.
        unsafe { self.reach.pointer(frame) }
    }

    fn written(&self, first: NonNull<u32>, count: usize) {
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
