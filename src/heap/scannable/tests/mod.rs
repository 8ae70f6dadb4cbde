//! The bitmap's memory: Ready while scannable spans are behind it, idle, taken back.

mod places;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{AllocFlags, Kernel};
use archipelago_sim::{
    Hosted, Kind as CallKind, Mode, Plain32, Sim, SimGeometry, Small, SmallFixed, State, WidePage,
};

use crate::arena::ArenaIndex;
use crate::heap::Heap;
use crate::pageheap::{ReadyRun, Reclaim as _, Want, Window};
use crate::region::{Cause, Purpose};
use crate::span::{Scan, SpanClass};

struct ScannableHeap<G: SimGeometry> {
    heap: Box<Heap<Sim<G>, Hosted>>,
    machine: Sim<G>,
}

impl<G: SimGeometry> ScannableHeap<G> {
    const PART: usize = ArenaIndex::<Sim<G>>::PART_BYTES;

    fn new() -> Self {
        let machine = Sim::builder().build();
        let heap: Box<Heap<Sim<G>, Hosted>> = Box::default();
        let arena = G::GEOMETRY.arena_bytes();
        let base = G::GEOMETRY.base.wrapping_add(4 * arena);
        heap.init(&[Window::new(base, 4 * arena)], machine.clone())
            .expect("init");
        Self { heap, machine }
    }

    fn allocate(&self, bytes: usize, scan: Scan) -> Result<NonNull<u8>, Cause> {
        let flags = AllocFlags::empty();
        let online = self.heap.pages.online().expect("initialised");
        let layout = layout(bytes);
        let class = Heap::<Sim<G>, Hosted>::TABLE.class_for(layout.size(), layout.align());
        let memory = match class {
            Some(size_class) => {
                let class = SpanClass::new(size_class, scan);
                match self.heap.alloc_slot(online, class) {
                    Some(slot) => self.heap.slot_memory(online, size_class, slot, flags),
                    None => self.heap.alloc_in_new_span(online, class, flags)?,
                }
            }
            None => {
                let want = Heap::<Sim<G>, Hosted>::wanted(layout)?.for_scan(scan);
                self.heap.alloc_large(online, want, flags)?
            }
        };
        Ok(memory.cast())
    }

    fn free(&self, pointer: NonNull<u8>, bytes: usize) {
        // SAFETY: the test allocated it with this layout and uses it no more.
        unsafe { self.heap.deallocate(pointer, layout(bytes)) };
    }

    fn bits(&self) -> usize {
        self.heap.stats().of(Purpose::HeapBits)
    }

    fn idle(&self) -> usize {
        self.heap.pages.bitmap().idle_bytes()
    }

    fn check(&self) {
        self.heap.verify().expect("sound");
        let stats = self.heap.stats();
        let ready = self.machine.count(State::Ready) * G::GEOMETRY.granule_bytes();
        assert_eq!(ready, stats.mapped_ready, "{stats}");
        assert_eq!(stats.sum(), stats.mapped_ready, "{stats}");
        let frames = self.machine.frames_taken() - self.machine.frames_returned();
        let held = stats.footprint.table_frames + stats.footprint.held_frames;
        assert_eq!(
            frames,
            ready / G::GEOMETRY.granule_bytes() + held,
            "{stats}"
        );
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a layout")
}

/// Objects without pointers commit none of it, objects with pointers one part at first, and what
/// nobody needs goes when memory is scavenged.
fn memory_follows_the_spans<G: SimGeometry>() {
    let bed = ScannableHeap::<G>::new();
    let plain: Vec<_> = (0..100)
        .map(|_| bed.allocate(48, Scan::NO).expect("memory"))
        .collect();
    assert_eq!(bed.bits(), 0);
    bed.check();
    let first = bed.allocate(48, Scan::YES).expect("memory");
    assert_eq!(bed.bits(), ScannableHeap::<G>::PART);
    assert!(!plain.contains(&first));
    bed.check();
    let behind_a_part = ArenaIndex::<Sim<G>>::PART_PAGES * G::GEOMETRY.page_bytes();
    let large = bed.allocate(3 * behind_a_part, Scan::YES).expect("memory");
    assert!(
        (3..=5).contains(&(bed.bits() / ScannableHeap::<G>::PART)),
        "{}",
        bed.bits()
    );
    bed.check();
    let before = bed.bits();
    bed.free(large, 3 * behind_a_part);
    assert!(bed.bits() <= before - 2 * ScannableHeap::<G>::PART);
    bed.check();
    let again = bed.allocate(3 * behind_a_part, Scan::YES).expect("memory");
    assert_eq!(bed.bits(), before, "idle parts are used again");
    bed.free(again, 3 * behind_a_part);
    bed.free(first, 48);
    bed.check();
    let online = bed.heap.pages.online().expect("initialised");
    bed.heap.reclaim(online);
    assert_eq!(bed.bits(), 0, "given back with the span");
    bed.check();
    if G::DECOMMITS {
        let ready = bed.heap.stats().mapped_ready;
        assert!(bed.idle() > 0);
        bed.heap.scavenge(usize::MAX).expect("not busy");
        assert_eq!(bed.idle(), 0);
        assert!(bed.heap.stats().mapped_ready < ready - before);
    }
    bed.check();
    let last = bed.allocate(48, Scan::YES).expect("memory");
    assert_eq!(bed.bits(), ScannableHeap::<G>::PART);
    bed.free(last, 48);
    plain.into_iter().for_each(|pointer| bed.free(pointer, 48));
    bed.check();
}

#[test]
fn memory_follows_the_spans_on_every_width() {
    memory_follows_the_spans::<WidePage>();
    memory_follows_the_spans::<Plain32>();
    memory_follows_the_spans::<Small>();
    memory_follows_the_spans::<SmallFixed>();
}

#[test]
fn a_request_that_must_not_grow_uses_only_what_is_ready() {
    let bed = ScannableHeap::<Plain32>::new();
    let online = bed.heap.pages.online().expect("initialised");
    // Free pages that are Ready, and no bitmap.
    let pages = bed.allocate(10 * 4096 * 8, Scan::NO).expect("memory");
    bed.free(pages, 10 * 4096 * 8);
    let want = Want::pages(3).for_scan(Scan::YES);
    let alloc = || {
        let ready = bed
            .heap
            .pages
            .alloc(online, want, AllocFlags::NO_GROW, &*bed.heap);
        ready.map(ReadyRun::record)
    };
    assert_eq!(alloc(), Err(Cause::NotReady { bytes: 3 * 4096 }));
    bed.check();
    let first = bed.allocate(48, Scan::YES).expect("memory");
    assert!(alloc().is_ok(), "the part that covers it is ready by now");
    bed.free(first, 48);
}

/// Where the machine becomes busy while bitmap is made, the run is free again, and so is the bitmap
/// as soon as memory can be taken back.
#[test]
fn a_run_whose_bitmap_is_refused_by_a_busy_machine_is_free() {
    let bed = ScannableHeap::<Plain32>::new();
    bed.allocate(48, Scan::NO).expect("memory");
    bed.heap.scavenge(usize::MAX).expect("not busy");
    let used = || {
        let stats = bed.heap.stats();
        stats.owned_pages - stats.free_pages - stats.bitmap_pages
    };
    let before = used();
    let bytes = 6 << 20;
    // After the run, which is longer, tables and parts are made, for which the machine is busy.
    let machine = bed.machine.clone();
    let pages = AtomicUsize::new(0);
    bed.machine.on_call(move |call| {
        let is_page = call.kind == CallKind::Commit && call.range.bytes() == 4096;
        if is_page && pages.fetch_add(1, Ordering::Relaxed) == 0 {
            machine.busy_nth(1, Mode::FromThenOn);
        }
    });
    let interrupts = Hosted::disable_interrupts();
    let refused = bed.allocate(bytes, Scan::YES);
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(interrupts) };
    bed.machine.clear_hook();
    bed.machine.disarm();
    assert_eq!(refused, Err(Cause::NotReady { bytes }));
    assert_eq!(used(), before, "{}", bed.heap.stats());
    bed.heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(bed.idle(), 0);
    let after = bed.heap.stats();
    assert_eq!(after.of(Purpose::HeapBits), 0);
    assert_eq!(after.of(Purpose::UnusedMetadata) / 4096, 0, "{after}");
    bed.check();
}

#[test]
fn nothing_is_taken_back_while_somebody_reads() {
    // More pages than are looked at before the lock is given up for a while.
    const BYTES: usize = 4 << 20;
    let bed = ScannableHeap::<Plain32>::new();
    let object = bed.allocate(BYTES, Scan::YES).expect("memory");
    bed.free(object, BYTES);
    let idle = bed.idle();
    assert!(idle > 0);
    bed.heap.pages.bitmap().enter();
    bed.heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(bed.idle(), idle);
    bed.check();
    bed.heap.pages.bitmap().leave();
    bed.heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(bed.idle(), 0);
    bed.check();
}

#[test]
fn readers_beyond_count_are_readers_for_ever() {
    let bed = ScannableHeap::<Plain32>::new();
    let object = bed.allocate(1 << 20, Scan::YES).expect("memory");
    bed.free(object, 1 << 20);
    let idle = bed.idle();
    bed.heap.pages.bitmap().plant_readers(usize::MAX - 1);
    let views = [bed.heap.bits(), bed.heap.bits()];
    drop(views);
    bed.heap.scavenge(usize::MAX).expect("not busy");
    assert_eq!(bed.idle(), idle);
    bed.check();
}

/// While the bits of a large object are cleared, with no lock held, another free of it is noticed.
#[test]
#[should_panic(expected = "freed twice")]
fn an_object_that_is_being_freed_is_freed_by_nobody_else() {
    const BYTES: usize = 1 << 20;
    let bed = ScannableHeap::<Plain32>::new();
    let object = bed.allocate(BYTES, Scan::YES).expect("memory");
    let online = bed.heap.pages.online().expect("initialised");
    // SAFETY: the object is the test's, which frees it below.
    let claimed = unsafe { bed.heap.claim_large(online, object, layout(BYTES)) };
    assert!(claimed.is_some());
    // SAFETY: the call breaks the contract on purpose: the heap notices, and stops.
    unsafe { bed.heap.deallocate(object, layout(BYTES)) };
}
