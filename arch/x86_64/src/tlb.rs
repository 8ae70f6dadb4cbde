//! The translations that the CPU remembers, and how it is made to forget them.

/// The TLB of the CPU that this runs on, for kernels that use one CPU and no process-context
/// identifiers, or that keep the heap's windows out of them.
///
/// A kernel that runs on several CPUs brings a [`Tlb`](archipelago_paging::Tlb) of its own, which
/// has each of them call [`LocalTlb::flush_local`]. New entries need nothing: no CPU of this
/// architecture remembers that there was none.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalTlb;

#[cfg(target_arch = "x86_64")]
mod local {
    use super::LocalTlb;
    use archipelago_api::VirtRange;
    use archipelago_paging::{Tlb, pieces};
    use x86_64::VirtAddr;
    use x86_64::instructions::tlb;
    use x86_64::registers::control::Cr3;

    /// More pages than this are flushed with the whole TLB: an `invlpg` costs some hundred cycles,
    /// and a reload what it takes to walk again for the few hundred entries that a TLB holds.
    const SINGLE_PAGES: usize = 64;
    const PAGE: usize = 4096;

    impl LocalTlb {
        /// Makes this CPU, and no other, forget what it remembers of `range`.
        ///
        /// Privileged: outside of ring 0 it faults.
        pub fn flush_local(range: VirtRange) {
            if range.bytes() / PAGE > SINGLE_PAGES {
                let (root, bits) = Cr3::read_raw();
                // SAFETY: the same table as before, so every translation stays what it is.
                unsafe { Cr3::write_raw(root, bits) };
                return;
            }
            for page in pieces(range, PAGE) {
                tlb::flush(VirtAddr::new_truncate(page.base().value() as u64));
            }
        }
    }

    // SAFETY: `invlpg` drops the page's translation and all that is remembered of tables; a reload
    // of CR3 drops both for everything that is not global, and the heap's pages are not. With one
    // CPU, this is every CPU.
    unsafe impl Tlb for LocalTlb {
        fn flush(&self, range: VirtRange) {
            Self::flush_local(range);
        }
    }
}
