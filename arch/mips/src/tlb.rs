//! TLB maintenance.

/// The TLB of the CPU that this runs on, for kernels on one CPU. A machine has it through
/// [`one_cpu`](archipelago_paging::Paging::one_cpu) or
/// [`shared_on_one_cpu`](archipelago_paging::Paging::shared_on_one_cpu) alone.
///
/// Address spaces (ASIDs) do not matter, because every entry of the heap's tables is global.
/// Entries that the kernel has wired stay.
#[derive(Clone, Copy, Debug)]
pub struct LocalTlb(());

impl LocalTlb {
    pub(crate) const HERE: Self = Self(());
}

#[cfg(any(target_arch = "mips", doc))]
mod local {
    use core::arch::asm;

    use archipelago_api::VirtRange;
    use archipelago_paging::Tlb;

    use super::LocalTlb;
    use crate::cache;
    use crate::cp0::{self, read};
    use crate::flush::{Flush, PAIR};

    /// The address in entry 0 of an empty TLB; other entries have those above it. No TLB translates
    /// them, since they are kseg0's, and each entry has its own, since two entries for one address
    /// are a machine check.
    const UNUSED: usize = 0x8000_0000;

    /// EntryHi.ASID: the address space. A flush keeps it, in case the kernel's own stack is mapped.
    const ASID: usize = 0xff;

    impl LocalTlb {
        /// Drops the entries of all pairs that `range` touches from this CPU's TLB. Other CPUs keep
        /// theirs. If the data cache has aliases, it is written back and emptied.
        ///
        /// Privileged: outside of kernel mode the instructions fault.
        pub fn flush_local(range: VirtRange) {
            drop_pairs(range);
            // Lines of the window must not be written back once its frames are used elsewhere.
            cache::write_back_all();
        }
    }

    /// Drops the entries of all pairs that `range` touches.
    fn drop_pairs(range: VirtRange) {
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
        // SAFETY: the value is the one that was read, so the address space stays.
        unsafe { set_entry_hi(entry_hi) };
        if enabled {
            cp0::enable_interrupts();
        }
    }

    /// The number of entries of the TLB: Config1.MMUSize.
    fn entries() -> usize {
        (read!(16, 1) >> 25 & 0x3f) + 1
    }

    /// # Safety
    /// The address space that the value names is the one that is in use.
    unsafe fn set_entry_hi(value: usize) {
        // SAFETY: the caller promises that the address space stays.
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
        // SAFETY:
        // - probing changes Index and EntryHi alone, and the caller restores EntryHi;
        // - interrupts are masked, so no handler uses either in between.
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
        // SAFETY:
        // - a dropped pair is refilled from the tables when it is next touched;
        // - the entry's new address is never translated, and is no other entry's;
        // - the block touches no memory and interrupts are masked, so no refill comes in between;
        // - the caller restores EntryHi.
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

    // SAFETY:
    // - after `flush` no pair of the range is in the TLB, and the refill handler loads pairs from
    //   the tables, which stores to kseg0 have changed before; there is one CPU, as the
    //   machine's constructors were promised;
    // - `filled` does the same, so that the next access to a page loads its pair anew.
    unsafe impl Tlb for LocalTlb {
        fn flush(&self, range: VirtRange) {
            Self::flush_local(range);
        }

        /// Drops the pairs, because the TLB also caches the absence of a page: in a pair whose
        /// other half was touched, or after a fault that was recovered.
        fn filled(&self, range: VirtRange) {
            drop_pairs(range);
        }
    }
}
