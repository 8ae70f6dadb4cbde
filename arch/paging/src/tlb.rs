//! Translations that CPUs remember, and how they are made to forget them.

use archipelago_api::VirtRange;

/// What makes every CPU forget translations.
///
/// Each machine's crate has one for its own CPU. A kernel that runs on several, on a machine whose
/// CPUs do not tell each other, tells the others itself, usually by an inter-processor interrupt,
/// and waits until all have done it.
///
/// # Safety
/// An implementor promises that
/// - after [`flush`](Self::flush) no CPU remembers a translation of an address in the range, or a
///   table on the way to it, that was taken out of the page tables before the call;
/// - after [`filled`](Self::filled) every CPU finds the translations that were put into the page
///   tables before the call.
pub unsafe trait Tlb: Send + Sync + 'static {
    /// Makes every CPU forget what it remembers of `range`: once for each range that loses its
    /// frames, and once more if tables go with them, for all that those tables served.
    ///
    /// When the caller of the machine could wait, no lock of tables or frame source is held. When
    /// it could not (interrupts are masked), they are: an implementor that waits for other CPUs
    /// must answer their requests in the meantime.
    fn flush(&self, range: VirtRange);

    /// Pages of `range` that nobody could translate have become Ready: once for each range, with
    /// locks held as for [`flush`](Self::flush).
    ///
    /// The provided method orders the stores before later accesses, which is enough where walks of
    /// the tables are coherent with stores and no CPU remembers that there was nothing. A machine
    /// that needs a barrier for its walks, or whose TLB holds entries that are not valid, does it
    /// here.
    fn filled(&self, range: VirtRange) {
        let _ = range;
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }
}
