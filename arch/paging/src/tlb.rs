//! TLB maintenance: the trait through which CPUs drop translations that they cache.

use core::sync::atomic::{Ordering, fence};

use archipelago_api::VirtRange;

/// TLB maintenance for every CPU that uses the heap.
///
/// Each machine's crate has an implementation for its own CPU. On a machine whose CPUs do not
/// broadcast invalidations, a kernel that runs on several CPUs brings its shoot-down: it sends the
/// others an inter-processor interrupt, and waits until all have invalidated.
///
/// # Safety
/// An implementor promises that
/// - after [`flush`](Self::flush) no CPU caches a translation of an address in the range, or a link
///   to a table on the way to it, that was taken out of the page tables before the call;
/// - after [`filled`](Self::filled) every CPU finds the translations that were put into the page
///   tables before the call.
pub unsafe trait Tlb: Send + Sync + 'static {
    /// Drops all cached translations of `range` on every CPU. The machine calls it once for each
    /// range that loses its frames, and once more if tables are freed too, for all addresses that
    /// those tables translate.
    ///
    /// No lock of tables or frame allocator is held: a CPU that waits for one with interrupts
    /// masked gets it, and responds after that. Interrupts are as the caller of the heap left them.
    /// Where they are masked, an implementor that waits for other CPUs must serve their requests
    /// meanwhile.
    fn flush(&self, range: VirtRange);

    /// Makes pages of `range`, which were not mapped and have become Ready, visible to every CPU:
    /// once for each range. No lock is held, as in [`flush`](Self::flush).
    ///
    /// The provided method orders the stores before later accesses. That is enough where page walks
    /// are coherent with stores and no CPU caches that a page was absent. A machine whose walks
    /// need a barrier, or whose TLB holds invalid entries, overrides it.
    fn filled(&self, range: VirtRange) {
        let _ = range;
        fence(Ordering::SeqCst);
    }
}

/// The TLB maintenance of a kernel on one CPU, for [`Paging`](crate::Paging) to take out where the
/// caller has promised that there is one.
///
/// ```
/// use archipelago_paging::ForOneCpu;
///
/// fn put<T: Copy>(tlb: T) -> ForOneCpu<T> {
///     ForOneCpu::new(tlb)
/// }
/// ```
///
/// ```compile_fail,E0624
/// use archipelago_paging::ForOneCpu;
///
/// fn take<T: Copy>(tlb: ForOneCpu<T>) -> T {
///     unsafe { tlb.get() }
/// }
/// ```
#[derive(Debug)]
pub struct ForOneCpu<T>(T);

impl<T: Copy> ForOneCpu<T> {
    /// Maintenance by `tlb`.
    #[must_use]
    pub const fn new(tlb: T) -> Self {
        Self(tlb)
    }

    /// The maintenance.
    ///
    /// # Safety
    /// One CPU alone uses the heap, and it is set up as the page of `T` asks.
    pub(crate) const unsafe fn get(&self) -> T {
        self.0
    }
}
