//! What a CPU must be told when tables have changed, and in which order.
//!
//! The order is that of the ARM Architecture Reference Manual, ARMv7-A and ARMv7-R edition
//! (DDI 0406C), B3.10.1 "General TLB maintenance requirements" with "TLB maintenance operations and
//! the memory order model":
//!
//! | when | what | why |
//! | --- | --- | --- |
//! | a table was filled, before its link is written | `DSB` | a walk is an observer like any other (A3.8.3): it must not find the link before the entries |
//! | pages became valid | `DSB`, `ISB` | a walk for a later access finds an entry for certain once the store is complete, which `DSB` waits for; `ISB` has instructions after it begin after that. No TLB remembers an entry that faults (B3.9 "Translation Lookaside Buffers"), so nothing is invalidated |
//! | pages ceased to be valid, or tables are gone | `DSB`, invalidate, `DSB`, `ISB` | the first `DSB` completes the stores, or a walk after the invalidation might find the old entry; the invalidation is complete on all CPUs after the second one, and seen by this one's later instructions after `ISB` |
//!
//! Where walks do not see what is in the data caches, each store to a table is followed by a clean
//! of its line ([`Instructions::clean`]) before the `DSB`. That is so on a CPU whose ID_MMFR3 says
//! that walks are not coherent (bits 23 to 20 are 0), which no CPU with the Multiprocessing
//! Extensions is, and where TTBR0, TTBR1 make walks not cacheable.
//!
//! The manual's examples invalidate branch predictors too, because an entry may map code. These do
//! not: no page of the heap is ever executed, so what a predictor knows of it is never used.

use archipelago_api::VirtRange;
use archipelago_paging::{Tlb, pieces};

/// More pages than this are invalidated with the whole TLB: CPUs have some hundred entries, and
/// each operation is told to every CPU.
pub const SINGLE_PAGES: usize = 64;
const PAGE_BYTES: usize = 4096;

/// The instructions that maintenance is made of, for the CPUs that share the tables. [`Broadcast`]
/// and [`OneCpu`] are the hardware's; a test records them.
///
/// # Safety
/// An implementor promises that each does what it says, and that the compiler moves no access to
/// memory across it.
pub unsafe trait Instructions: Copy + Send + Sync + 'static {
    /// `DSB`: waits until all stores, cleans and invalidations before it are complete.
    fn dsb(&self);

    /// `ISB`: instructions after it start after it.
    fn isb(&self);

    /// Invalidates what TLBs hold of the page at `address`, and of the way to it, in every address
    /// space.
    fn invalidate_page(&self, address: usize);

    /// Invalidates all that TLBs hold.
    fn invalidate_all(&self);

    /// Cleans the data cache's line that `address` lies in to the point of coherency, which is
    /// where every walk looks, if not before.
    fn clean(&self, address: usize);
}

/// What makes CPUs forget translations, by `I`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Maintenance<I>(pub I);

// SAFETY: the sequences are the manual's (see the table above); on CPUs that share the tables, the
// instructions reach all of them.
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

/// Every CPU of the Inner Shareable domain hears, without being interrupted: CPUs with the
/// Multiprocessing Extensions, which are all but the first few of ARMv7-A. Some hear only once
/// they were told to take part (ACTLR.SMP).
#[derive(Clone, Copy, Debug, Default)]
pub struct Broadcast;

/// This CPU alone hears: for one without the Multiprocessing Extensions, such as the Cortex-A8.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneCpu;

#[cfg(target_arch = "arm")]
mod hardware {
    use core::arch::asm;

    use super::{Broadcast, Instructions, OneCpu};

    // SAFETY: the instructions of the Multiprocessing Extensions, in the Inner Shareable domain,
    // by the encodings of B3.18.6 and B3.18.7; not one of them is declared to leave memory alone,
    // so that the compiler keeps accesses where they are.
    unsafe impl Instructions for Broadcast {
        fn dsb(&self) {
            // SAFETY: a barrier.
            unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
        }

        fn isb(&self) {
            isb();
        }

        /// TLBIMVAAIS.
        fn invalidate_page(&self, address: usize) {
            // SAFETY: forgetting a translation changes none.
            unsafe {
                asm!("mcr p15, 0, {}, c8, c3, 3", in(reg) address, options(nostack, preserves_flags));
            };
        }

        /// TLBIALLIS.
        fn invalidate_all(&self) {
            // SAFETY: as above.
            unsafe {
                asm!("mcr p15, 0, {}, c8, c3, 0", in(reg) 0, options(nostack, preserves_flags))
            };
        }

        fn clean(&self, address: usize) {
            clean(address);
        }
    }

    // SAFETY: the same for one CPU, whose barriers are for the whole system, since it may have no
    // other kind.
    unsafe impl Instructions for OneCpu {
        fn dsb(&self) {
            // SAFETY: a barrier.
            unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
        }

        fn isb(&self) {
            isb();
        }

        /// TLBIMVA, with ASID 0: the heap's pages are global, and match whatever the ASID.
        fn invalidate_page(&self, address: usize) {
            // SAFETY: forgetting a translation changes none.
            unsafe {
                asm!("mcr p15, 0, {}, c8, c7, 1", in(reg) address, options(nostack, preserves_flags));
            };
        }

        /// TLBIALL.
        fn invalidate_all(&self) {
            // SAFETY: as above.
            unsafe {
                asm!("mcr p15, 0, {}, c8, c7, 0", in(reg) 0, options(nostack, preserves_flags))
            };
        }

        fn clean(&self, address: usize) {
            clean(address);
        }
    }

    fn isb() {
        // SAFETY: a barrier.
        unsafe { asm!("isb", options(nostack, preserves_flags)) };
    }

    /// DCCMVAC.
    fn clean(address: usize) {
        // SAFETY: cleaning a line changes no contents; `address` is one of a table, which is mapped.
        unsafe {
            asm!("mcr p15, 0, {}, c7, c10, 1", in(reg) address, options(nostack, preserves_flags))
        };
    }
}
