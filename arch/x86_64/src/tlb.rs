//! Translations that CPUs remember, and how they are made to forget them.

use archipelago_api::VirtRange;

/// What makes every CPU forget translations.
///
/// [`LocalTlb`] will do on one CPU. A kernel that runs on several tells the others, usually by an
/// inter-processor interrupt whose handler calls [`LocalTlb::flush_local`], and waits until all
/// have done it.
///
/// # Safety
/// An implementor promises that after [`flush`](Self::flush) no CPU remembers a translation of an
/// address in the range, or a table on the way to it, that was taken out of the page tables before
/// the call.
pub unsafe trait Tlb: Send + Sync + 'static {
    /// Makes every CPU forget what it remembers of `range`: once for each range that loses its
    /// frames, and once more if tables go with them.
    ///
    /// When the caller of the machine could wait, no lock of mapper or frame source is held. When
    /// it could not (interrupts are masked), they are: an implementor that waits for other CPUs
    /// must answer their requests in the meantime.
    fn flush(&self, range: VirtRange);
}

/// The TLB of the CPU that this runs on, for kernels that use one CPU and no process-context
/// identifiers, or that keep the heap's windows out of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalTlb;

#[cfg(target_arch = "x86_64")]
mod local {
    use super::{LocalTlb, Tlb, VirtRange};
    use crate::walk::pieces;
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
