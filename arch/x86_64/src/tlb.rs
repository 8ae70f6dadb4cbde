//! TLB maintenance.

/// The TLB of the CPU that this runs on, for kernels on one CPU. A machine has it through
/// [`one_cpu`](archipelago_paging::Paging::one_cpu) or
/// [`shared_on_one_cpu`](archipelago_paging::Paging::shared_on_one_cpu) alone.
///
/// The CPU uses no process-context identifiers (`CR4.PCIDE` is 0): under those, neither `invlpg`
/// nor a reload of CR3 drops what is cached under another identifier.
///
/// A kernel that runs on several CPUs brings a [`Tlb`](archipelago_paging::Tlb) of its own, which
/// has each of them call [`LocalTlb::flush_local`]. New entries need nothing: no CPU of this
/// architecture caches the absence of a translation.
#[derive(Clone, Copy, Debug)]
pub struct LocalTlb(());

impl LocalTlb {
    pub(crate) const HERE: Self = Self(());
}

#[cfg(any(target_arch = "x86_64", doc))]
mod local {
    use super::LocalTlb;
    use archipelago_api::VirtRange;
    use archipelago_paging::{Tlb, pieces};
    use x86_64::VirtAddr;
    use x86_64::instructions::{interrupts, tlb};
    use x86_64::registers::control::Cr3;

    /// More pages than this are flushed with the whole TLB: an `invlpg` costs some hundred cycles,
    /// and a reload costs new walks for the few hundred entries that a TLB holds.
    const SINGLE_PAGES: usize = 64;
    const PAGE: usize = 4096;

    impl LocalTlb {
        /// Drops all translations of `range`, and links on the way to them, that this CPU caches.
        /// Other CPUs keep theirs.
        ///
        /// Privileged: outside of ring 0 the instructions fault.
        pub fn flush_local(range: VirtRange) {
            if range.bytes() / PAGE > SINGLE_PAGES {
                // A handler that switched tables in between would find its switch undone.
                interrupts::without_interrupts(|| {
                    let (root, bits) = Cr3::read_raw();
                    // SAFETY: the value is the one that was read, so every translation stays valid.
                    unsafe { Cr3::write_raw(root, bits) };
                });
                return;
            }
            for page in pieces(range, PAGE) {
                tlb::flush(VirtAddr::new_truncate(page.base().value() as u64));
            }
        }
    }

    // SAFETY:
    // - `invlpg` drops the page's translation and all cached links; a reload of CR3 drops both for
    //   all pages that are not global, and the heap's are not; there is one CPU and no
    //   process-context identifier, as the machine's constructors were promised;
    // - no CPU caches that a page was absent, and the provided `filled` orders the stores.
    unsafe impl Tlb for LocalTlb {
        fn flush(&self, range: VirtRange) {
            Self::flush_local(range);
        }
    }
}
