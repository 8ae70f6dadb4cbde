//! The reserve of the heap: Ready pages and span records that only atomic requests may take.

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::Online;
use crate::region::Cause;
use crate::span::{RecordKind, Records};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Keeps `pages` Ready pages, and as many span records of each kind, for atomic requests. What
    /// they take is filled up again by the next ordinary request that needs pages; where that was
    /// refused, it is tried again after the heap's memory or its limit changed. Pages and records
    /// above the goal become free. Before this refuses, CPUs give up free memory that they keep, as
    /// before any refusal; for what fills the reserve up again they do not.
    ///
    /// # Errors
    /// The step that refused. The reserve holds what could be had, up to all memory that there is,
    /// and ordinary requests go on filling it. A smaller goal gives back what is above it.
    /// # Locks
    /// Takes the growth gate, central and page, each as often as it needs.
    pub fn set_reserve(&self, pages: usize) -> Result<(), Cause> {
        let Some(online) = self.pages.online() else {
            return Err(Cause::NotInitialised);
        };
        *self.refill.lock() = Some(try_to_fill);
        self.pages.keep_reserve(pages);
        let mut filled = fill(self, online);
        if Self::HAS_CPUS && filled.is_err() && self.cpus().drain(online) {
            filled = fill(self, online);
        }
        self.reclaim_record_pages(online);
        filled
    }

    /// Refills the reserve, if it is low and `flags` allow growth, as far as memory allows: for a
    /// request that needs pages, and that goes on without it.
    #[inline(always)]
    pub(super) fn refill_if_low(&self, online: &Online<M>, flags: AllocFlags) {
        if !flags.contains(AllocFlags::NO_GROW) && self.pages.reserve_is_low() {
            self.refill_reserve(online);
        }
    }

    #[cold]
    fn refill_reserve(&self, online: &Online<M>) {
        let refill = *self.refill.lock();
        if let Some(refill) = refill {
            refill(self, online);
        }
    }
}

/// Fills the reserve of `heap` if that may succeed.
fn try_to_fill<M: Machine, K: Kernel>(heap: &Heap<M, K>, online: &Online<M>) {
    if heap.pages.has_changed_since_refusal() {
        fill(heap, online).ok();
    }
}

/// Fills the reserve of `heap` as far as memory allows.
///
/// # Errors
/// The step that refused.
fn fill<M: Machine, K: Kernel>(heap: &Heap<M, K>, online: &Online<M>) -> Result<(), Cause> {
    heap.pages.set_reserve_low(false);
    heap.pages.set_reserve_filling(true);
    let pages = heap.pages.fill_reserve(online, heap);
    // More records than pages would be of no use.
    let kept = heap.pages.reserve_pages();
    heap.central.lock().keep_records(kept);
    // Each for itself: pages serve although there is no memory for records.
    let narrow = fill_records(heap, online, RecordKind::Narrow);
    let wide = fill_records(heap, online, RecordKind::Wide);
    heap.pages.set_reserve_filling(false);
    let filled = pages.and(narrow).and(wide);
    if filled.is_err() {
        heap.pages.note_refusal();
        heap.pages.set_reserve_low(true);
    }
    filled
}

/// Makes records of `kind` until as many are unused as are to be kept, and one more.
///
/// # Errors
/// Why there is no memory for them.
fn fill_records<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
    kind: RecordKind,
) -> Result<(), Cause> {
    if kind == RecordKind::Wide && !Records::<M>::HAS_WIDE {
        return Ok(());
    }
    while heap.central.lock().spare_records(kind) == 0 {
        heap.make_records(online, kind, AllocFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use core::alloc::Layout;

    use archipelago_api::CpuId;
    use archipelago_api::kernels::{Cpus, MultiCpuThreads, SingleCpu, Threads};
    use archipelago_sim::{Hosted, Plain32, Sim};

    use super::*;
    use crate::pageheap::Window;

    type Subject = Heap<Sim<Plain32>, Hosted>;

    const KINDS: [RecordKind; 2] = [RecordKind::Narrow, RecordKind::Wide];

    fn subject(reserve: usize) -> Box<Subject> {
        let heap: Box<Subject> = Box::default();
        heap.init(&[Window::new(0x4000_0000, 1 << 24)], Sim::default())
            .expect("a good window");
        heap.set_reserve(reserve).expect("memory");
        heap
    }

    /// Ordinary requests leave as many records as are kept, and atomic ones take exactly these.
    #[test]
    fn records_that_are_kept_are_for_atomic_requests() {
        for kind in KINDS {
            for kept in [0, 1, 7, 70] {
                let heap = subject(kept);
                let online = heap.pages.online().expect("initialised");
                let mut lists = heap.central.lock();
                let spare = lists.spare_records(kind);
                let mut take = |atomic| {
                    let taken =
                        core::iter::from_fn(|| lists.alloc_record(online.records(), kind, atomic));
                    taken.count()
                };
                assert_eq!((take(false), take(true)), (spare, kept), "{kind:?}");
            }
        }
    }

    /// A page of records goes as soon as the records beside it are as many as are kept.
    #[test]
    fn a_page_of_records_goes_if_enough_are_left() {
        for kind in KINDS {
            let heap = subject(0);
            let online = heap.pages.online().expect("initialised");
            while !heap.central.lock().has_empty_page() {
                heap.make_records(online, kind, AllocFlags::empty())
                    .expect("memory");
            }
            let mut lists = heap.central.lock();
            let left = lists.spare_records(kind) - kind.in_page::<Sim<Plain32>>();
            lists.keep_records(left + 1);
            let gone = lists.take_empty_page(online.records());
            assert!(gone.is_none(), "{kind:?}: a record would be missing");
            lists.keep_records(left);
            let gone = lists.take_empty_page(online.records());
            assert!(gone.is_some(), "{kind:?}: the page is not needed");
            assert_eq!(lists.spare_records(kind), 0);
        }
    }

    /// The reserve is low from the request that takes of it until the request that refills it.
    #[test]
    fn a_reserve_is_low_until_it_is_refilled() {
        let heap = subject(3);
        assert!(!heap.pages.reserve_is_low(), "it was filled");
        let page = Layout::from_size_align(4096, 4096).expect("a layout");
        while heap.pages.reserve_pages() == 3 {
            heap.allocate(page, AllocFlags::ATOMIC)
                .expect("the reserve");
        }
        assert!(heap.pages.reserve_is_low());
        heap.allocate(page, AllocFlags::NO_GROW)
            .expect_err("it must not take of the reserve");
        assert!(heap.pages.reserve_is_low());
        let run = Layout::from_size_align(10 * 4096, 8).expect("a layout");
        heap.allocate(run, AllocFlags::empty()).expect("memory");
        assert_eq!(heap.pages.reserve_pages(), 3);
        assert!(!heap.pages.reserve_is_low(), "it is full");
    }

    /// Allocates packets in handlers, which find the CPU's block in use if `interrupts` says so.
    fn packets(
        heap: &Heap<Sim<Plain32>, SingleCpu<Hosted>>,
        interrupts: bool,
        most: usize,
    ) -> usize {
        let entered = interrupts.then(|| heap.cpus().enter().expect("nobody is inside"));
        let packet = Layout::from_size_align(1500, 8).expect("a layout");
        let served = (0..most).take_while(|_| heap.allocate(packet, AllocFlags::ATOMIC).is_ok());
        let served = served.count();
        drop(entered);
        served
    }

    /// Handlers that interrupt the heap have spans beside those of the CPU: one more of each size.
    #[test]
    fn handlers_that_interrupt_the_heap_take_a_span_more() {
        // A span of 3 pages holds 8 packets.
        for (spans, served) in [(5, 33), (6, 40)] {
            let heap: Box<Heap<Sim<Plain32>, SingleCpu<Hosted>>> = Box::default();
            heap.init(&[Window::new(0x4000_0000, 1 << 24)], Sim::default())
                .expect("a good window");
            heap.allocate(Layout::new::<u64>(), AllocFlags::empty())
                .expect("memory, and for the block");
            heap.set_reserve(3 * spans).expect("memory");
            let first = packets(&heap, false, 1);
            assert_eq!(first + packets(&heap, true, 39), served);
            // The slots that are left in the CPU's span serve handlers that interrupt other code.
            assert_eq!(packets(&heap, false, 7), 7);
        }
    }

    /// Threads that must not wait.
    struct Impatient;

    impl Cpus for Impatient {
        fn current_cpu() -> CpuId {
            Hosted::current_cpu()
        }
    }

    impl Threads for Impatient {
        fn current_thread() -> usize {
            Hosted::current_thread()
        }

        fn relax() {
            panic!("the thread waits");
        }
    }

    /// Makes two requests for `bytes` bytes, the second while another thread is inside the
    /// gate, and the reserve is low, cannot be filled, and would be tried again.
    fn request_while_the_gate_is_closed(bytes: usize) {
        let heap: Box<Heap<Sim<Plain32>, MultiCpuThreads<Hosted, Impatient, Impatient>>> =
            Box::default();
        let machine = Sim::default();
        heap.init(&[Window::new(0x4000_0000, 1 << 24)], machine.clone())
            .expect("a good window");
        let layout = Layout::from_size_align(bytes, 8).expect("a layout");
        heap.allocate(layout, AllocFlags::empty()).expect("memory");
        machine.set_available_frames(20);
        heap.set_reserve(1000).expect_err("there is less");
        heap.set_limit(usize::MAX - 1);
        let would_fill = || heap.pages.reserve_is_low() && heap.pages.has_changed_since_refusal();
        assert!(would_fill());
        Hosted::set_thread(1);
        let inside = heap.pages.enter().expect("nobody is inside");
        Hosted::set_thread(2);
        assert!(Hosted::interrupts_enabled());
        heap.allocate(layout, AllocFlags::empty())
            .expect("a free slot");
        assert!(would_fill(), "nobody has tried");
        drop(inside);
    }

    #[test]
    fn a_request_that_finds_a_free_slot_does_not_wait_for_the_reserve() {
        request_while_the_gate_is_closed(64);
    }

    #[test]
    #[should_panic(expected = "the thread waits")]
    fn a_request_that_needs_pages_waits_for_the_gate() {
        request_while_the_gate_is_closed(100_000);
    }
}
