//! The shoot-down: one CPU has all others drop translations, and waits until they have.

use core::hint;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_qemu::{current_cpu, interrupt_other_cpus, without_interrupts};
use archipelago_x86_64::{LocalTlb, Tlb, VirtAddr, VirtRange};
use spin::{Mutex, MutexGuard};

/// Maintenance of the TLBs of all CPUs that take part.
pub(crate) struct ShootDown;

/// CPUs that take part, one bit each.
pub(crate) static CPUS: AtomicUsize = AtomicUsize::new(0);

/// Held by the thread whose request is under way.
static REQUESTING: Mutex<()> = Mutex::new(());

/// The range to drop, written before [`WAITED_FOR`].
static BASE: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// CPUs that have not responded yet, one bit each.
static WAITED_FOR: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn this_cpu() -> usize {
    1 << current_cpu().0
}

/// From now on this CPU takes part. Each calls this before it uses the heap.
pub(crate) fn take_part() {
    CPUS.fetch_or(this_cpu(), Ordering::SeqCst);
}

/// Responds to the request of another CPU, if there is one: the handler of the interrupt, which is
/// also called where a CPU waits, since interrupts may be masked there.
pub(crate) fn respond() {
    // Were this interrupted by itself, one response would count for two requests.
    without_interrupts(|| {
        if WAITED_FOR.load(Ordering::Acquire) & this_cpu() != 0 {
            let base = VirtAddr::new(BASE.load(Ordering::Relaxed));
            if let Some(range) = VirtRange::new(base, BYTES.load(Ordering::Relaxed)) {
                LocalTlb::flush_local(range);
            }
            WAITED_FOR.fetch_and(!this_cpu(), Ordering::Release);
        }
    });
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        respond();
        hint::spin_loop();
    }
}

/// Waits until no request is under way, and keeps others from making one.
pub(crate) fn begin_request() -> MutexGuard<'static, ()> {
    let mut request = None;
    wait_until(|| {
        request = REQUESTING.try_lock();
        request.is_some()
    });
    request.expect("it was waited for")
}

// SAFETY:
// - each CPU that takes part drops the range, and only then clears its bit, for which this waits;
//   a CPU that does not take part yet has not used the heap, so it caches nothing of it;
// - no CPU of this architecture caches that a page was absent, and the provided `filled` orders the
//   stores.
unsafe impl Tlb for ShootDown {
    fn flush(&self, range: VirtRange) {
        let _request = begin_request();
        BASE.store(range.base().value(), Ordering::Relaxed);
        BYTES.store(range.bytes(), Ordering::Relaxed);
        // A thread that was moved in between would leave out the CPU that it came from.
        without_interrupts(|| {
            let others = CPUS.load(Ordering::SeqCst) & !this_cpu();
            WAITED_FOR.store(others, Ordering::Release);
            if others != 0 {
                interrupt_other_cpus();
            }
            LocalTlb::flush_local(range);
        });
        wait_until(|| WAITED_FOR.load(Ordering::Acquire) == 0);
    }
}
