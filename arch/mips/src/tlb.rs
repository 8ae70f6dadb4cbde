//! What the processor remembers of the page tables, and how it is made to forget it.

/// The TLB of the CPU that this runs on, for kernels that use one CPU.
///
/// Address spaces (ASIDs) do not matter to it: every entry of the heap's tables is global. Entries
/// that the kernel has wired stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalTlb;

#[cfg(target_arch = "mips")]
mod local {
    use core::arch::asm;

    use archipelago_api::VirtRange;
    use archipelago_paging::Tlb;

    use super::LocalTlb;
    use crate::cp0::{self, read};
    use crate::flush::{Flush, PAIR};

    /// Where entry 0 of an empty TLB points, and the others above: addresses of kseg0, which no TLB
    /// translates, each of its own, since two entries for one address are a machine check.
    const UNUSED: usize = 0x8000_0000;

    /// EntryHi.ASID: the address space. It stays what it is throughout, in case the kernel's own
    /// stack is mapped.
    const ASID: usize = 0xff;

    impl LocalTlb {
        /// Makes this CPU, and no other, forget what it remembers of `range`.
        ///
        /// Privileged: outside of kernel mode it faults.
        pub fn flush_local(range: VirtRange) {
            // EntryHi and Index are the processor's only ones: a handler whose memory has to be
            // refilled, or that flushes too, must not come in between.
            let enabled = cp0::disable_interrupts();
            let entry_hi = read!(10);
            let asid = entry_hi & ASID;
            match Flush::of(range) {
                Flush::Pairs(first, count) => {
                    let pairs = (0..count).map(|pair| first.value() + pair * PAIR);
                    pairs.for_each(|pair| drop_pair(pair, asid));
                }
                Flush::All => (read!(6)..entries()).for_each(|index| drop_entry(index, asid)),
            }
            // SAFETY: the value is what was there, so that the kernel's address space goes on.
            unsafe { set_entry_hi(entry_hi) };
            if enabled {
                cp0::enable_interrupts();
            }
        }
    }

    /// How many entries the TLB has: Config1.MMUSize.
    fn entries() -> usize {
        (read!(16, 1) >> 25 & 0x3f) + 1
    }

    /// # Safety
    /// The address space that the value names is the one that is in use.
    unsafe fn set_entry_hi(value: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!(
                ".set noat",
                "mtc0 {}, $10",
                "ehb",
                in(reg) value,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Empties the entry of the pair at `address`, if there is one.
    fn drop_pair(address: usize, asid: usize) {
        let index: isize;
        // One block, so that no refill changes EntryHi between its write and the probe: it touches
        // no memory.
        // SAFETY: probing changes Index alone, and the caller restores EntryHi; interrupts are
        // masked.
        unsafe {
            asm!(
                ".set noat",
                "mtc0 {address}, $10",
                "ehb",
                "tlbp",
                "ehb",
                "mfc0 {index}, $0",
                address = in(reg) address | asid,
                index = out(reg) index,
                options(nostack, preserves_flags),
            );
        }
        // Negative where there is none.
        if let Ok(index) = usize::try_from(index) {
            drop_entry(index, asid);
        }
    }

    /// Empties entry `index`.
    fn drop_entry(index: usize, asid: usize) {
        // SAFETY: what the tables say is refilled when it is next needed; the entry's new address
        // is one that is never translated, and no other entry's. The block touches no memory, so
        // no refill comes in between; the caller restores EntryHi, and interrupts are masked.
        unsafe {
            asm!(
                ".set noat",
                "mtc0 {unused}, $10",
                "mtc0 $zero, $2",
                "mtc0 $zero, $3",
                "mtc0 {index}, $0",
                "ehb",
                "tlbwi",
                "ehb",
                unused = in(reg) (UNUSED + index * PAIR) | asid,
                index = in(reg) index,
                options(nostack, preserves_flags),
            );
        }
    }

    // SAFETY: a pair that is not in the TLB is refilled from the tables, which stores to kseg0 have
    // changed before; one that is, valid or not, is taken out. With one CPU, this is every CPU.
    unsafe impl Tlb for LocalTlb {
        fn flush(&self, range: VirtRange) {
            Self::flush_local(range);
        }

        /// The TLB also remembers that a page was not there: of the pair whose other half was
        /// touched, or of a fault that was recovered.
        fn filled(&self, range: VirtRange) {
            Self::flush_local(range);
        }
    }
}
