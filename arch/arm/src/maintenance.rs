//! TLB maintenance: the instructions that follow changes of tables, and their order.
//!
//! The order is that of the ARM Architecture Reference Manual, ARMv7-A and ARMv7-R edition
//! (DDI 0406C), B3.10.1 "General TLB maintenance requirements" with "TLB maintenance operations and
//! the memory order model":
//!
//! - After a table is filled, and before its link is written: `DSB`. A walk is an observer like any
//!   other (A3.8.3), and must not find the link before the entries.
//! - After pages became valid: `DSB`, `ISB`. A walk for a later access finds an entry for certain
//!   once the store is complete, which `DSB` waits for; after `ISB` instructions begin later than
//!   that. No TLB caches an entry that faults (B3.9 "Translation Lookaside Buffers"), so there is
//!   nothing to invalidate.
//! - After pages ceased to be valid, or tables were unlinked: `DSB`, invalidate, `DSB`, `ISB`. The
//!   first `DSB` completes the stores, or a walk after the invalidation might find the old entry.
//!   The second one completes the invalidation on all CPUs, and later instructions of this one see
//!   it after `ISB`.
//!
//! Where walks do not see the data caches, a clean of its line ([`Instructions::clean`]) follows
//! each store to a table, before the `DSB`. That is so on a CPU whose ID_MMFR3 says that walks are
//! not coherent (bits 23 to 20 are 0), which no CPU with the Multiprocessing Extensions is, and
//! where TTBR0, TTBR1 make walks not cacheable.
//!
//! The manual's examples invalidate branch predictors too, because an entry may map code. These
//! sequences do not: no page of the heap is ever executed, so predictions for one are never used.

use archipelago_api::VirtRange;
use archipelago_paging::{Tlb, pieces};

/// More pages than this are invalidated with the whole TLB: CPUs have some hundred entries, and
/// each operation is told to every CPU.
pub const SINGLE_PAGES: usize = 64;
const PAGE_BYTES: usize = 4096;

/// The instructions of maintenance, for the CPUs that share the tables. [`Broadcast`] and
/// [`OneCpu`] are the hardware's; a test records them.
///
/// # Safety
/// An implementor promises that each method has the effect that it documents, and that the compiler
/// moves no access to memory across it.
pub unsafe trait Instructions: Copy + Send + Sync + 'static {
    /// `DSB`: waits until all stores, cleans and invalidations before it are complete.
    fn dsb(&self);

    /// `ISB`: instructions after it start after it.
    fn isb(&self);

    /// Invalidates all TLB entries for the page at `address`, and cached links on the way to it, in
    /// every address space.
    fn invalidate_page(&self, address: usize);

    /// Invalidates all TLB entries and cached links.
    fn invalidate_all(&self);

    /// Cleans the data cache's line that holds `address` to the point of coherency, which every
    /// walk sees.
    fn clean(&self, address: usize);
}

/// TLB maintenance by the instructions `I`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Maintenance<I>(pub I);

// SAFETY:
// - `flush` and `filled` are the manual's sequences, as the top of the file has them;
// - the instructions reach all CPUs that share the tables.
unsafe impl<I: Instructions> Tlb for Maintenance<I> {
    fn flush(&self, range: VirtRange) {
        self.0.dsb();
        if range.bytes() / PAGE_BYTES > SINGLE_PAGES {
            self.0.invalidate_all();
        } else {
            for page in pieces(range, PAGE_BYTES) {
                self.0.invalidate_page(page.base().value());
            }
        }
        self.0.dsb();
        self.0.isb();
    }

    fn filled(&self, _range: VirtRange) {
        self.0.dsb();
        self.0.isb();
    }
}

/// Invalidation on every CPU of the Inner Shareable domain, without interrupting one: for CPUs with
/// the Multiprocessing Extensions, which are all but the first few of ARMv7-A. Some take part only
/// once ACTLR.SMP is set.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast(());

impl Broadcast {
    pub(crate) const HERE: Self = Self(());

    /// The instructions that reach all CPUs.
    ///
    /// # Safety
    /// Every CPU that uses the heap has the Multiprocessing Extensions, is in one Inner Shareable
    /// domain with the others, and takes part in invalidations.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self::HERE
    }
}

/// Invalidation on the CPU that this runs on, for kernels on one CPU; also on CPUs without the
/// Multiprocessing Extensions, such as the Cortex-A8.
#[derive(Clone, Copy, Debug)]
pub struct OneCpu(());

impl OneCpu {
    pub(crate) const HERE: Self = Self(());

    /// The instructions that reach this CPU.
    ///
    /// # Safety
    /// One CPU alone uses the heap.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self::HERE
    }
}

#[cfg(any(target_arch = "arm", doc))]
mod hardware {
    use core::arch::asm;

    use super::{Broadcast, Instructions, OneCpu};

    // SAFETY:
    // - the instructions are those of the Multiprocessing Extensions, in the Inner Shareable
    //   domain, by the encodings of B3.18.6 and B3.18.7;
    // - none of them is `nomem`, so the compiler moves no access across them.
    unsafe impl Instructions for Broadcast {
        fn dsb(&self) {
            // SAFETY: a barrier orders accesses and changes no memory.
            unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
        }

        fn isb(&self) {
            isb();
        }

        /// TLBIMVAAIS.
        fn invalidate_page(&self, address: usize) {
            // SAFETY: the CPU walks the tables again for invalidated translations.
            unsafe {
                asm!(
                    "mcr p15, 0, {}, c8, c3, 3",
                    in(reg) address,
                    options(nostack, preserves_flags),
                );
            }
        }

        /// TLBIALLIS.
        fn invalidate_all(&self) {
            // SAFETY: the CPU walks the tables again for invalidated translations.
            unsafe {
                asm!("mcr p15, 0, {}, c8, c3, 0", in(reg) 0, options(nostack, preserves_flags))
            };
        }

        fn clean(&self, address: usize) {
            clean(address);
        }
    }

    // SAFETY:
    // - the instructions are those for one CPU; the barriers are for the whole system, since such a
    //   CPU may have no other kind;
    // - none of them is `nomem`, so the compiler moves no access across them.
    unsafe impl Instructions for OneCpu {
        fn dsb(&self) {
            // SAFETY: a barrier orders accesses and changes no memory.
            unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
        }

        fn isb(&self) {
            isb();
        }

        /// TLBIMVA, with ASID 0: the heap's pages are global, and match whatever the ASID.
        fn invalidate_page(&self, address: usize) {
            // SAFETY: the CPU walks the tables again for invalidated translations.
            unsafe {
                asm!(
                    "mcr p15, 0, {}, c8, c7, 1",
                    in(reg) address,
                    options(nostack, preserves_flags),
                );
            }
        }

        /// TLBIALL.
        fn invalidate_all(&self) {
            // SAFETY: the CPU walks the tables again for invalidated translations.
            unsafe {
                asm!("mcr p15, 0, {}, c8, c7, 0", in(reg) 0, options(nostack, preserves_flags))
            };
        }

        fn clean(&self, address: usize) {
            clean(address);
        }
    }

    fn isb() {
        // SAFETY: a barrier orders accesses and changes no memory.
        unsafe { asm!("isb", options(nostack, preserves_flags)) };
    }

    /// DCCMVAC.
    fn clean(address: usize) {
        // SAFETY: a clean changes no contents, and the table that `address` lies in is mapped.
        unsafe {
            asm!("mcr p15, 0, {}, c7, c10, 1", in(reg) address, options(nostack, preserves_flags))
        };
    }
}
