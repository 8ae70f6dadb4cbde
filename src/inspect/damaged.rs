//! The heap that is damaged: small, sound, and with one of each thing that can be.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;

use archipelago_api::{AllocFlags, Machine, VirtAddr};
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry as _};

use crate::arena::SpanHandle;
use crate::base::PageIdx;
use crate::heap::Heap;
use crate::pageheap::Window;
use crate::span::{Kind, Record};

pub(super) type PlainHeap = Heap<Sim<Plain32>, Hosted>;

pub(super) const WINDOW: usize = 0x4000_0000;

/// A heap with small objects of several classes, a full span, large objects, free pages and a
/// reserve.
pub(super) struct DamagedHeap {
    pub(super) heap: Box<PlainHeap>,
    pub(super) first: PageIdx,
}

impl DamagedHeap {
    pub(super) fn new() -> Self {
        let heap: Box<PlainHeap> = Box::default();
        let windows = [
            Window::new(WINDOW, 1 << 28),
            Window::new(WINDOW + (1 << 30), 1 << 28),
        ];
        heap.init(&windows, Sim::builder().build()).expect("init");
        heap.set_reserve(1).expect("reserve");
        let mut kept = Vec::new();
        for bytes in [16, 16, 200, 4096, 4096, 40_000, 100_000, 12_000] {
            let layout = Layout::from_size_align(bytes, 8).expect("layout");
            kept.push((
                heap.allocate(layout, AllocFlags::empty()).expect("memory"),
                layout,
            ));
        }
        let (freed, layout) = kept.swap_remove(5);
        // SAFETY: it was allocated above with this layout and is used by nobody.
        unsafe { heap.deallocate(freed.cast(), layout) };
        heap.verify().expect("a heap that nobody damaged is sound");
        let first = PageIdx::of::<Sim<Plain32>>(VirtAddr::new(WINDOW)).expect("in the space");
        Self { heap, first }
    }

    pub(super) fn records(&self) -> Vec<(PageIdx, SpanHandle)> {
        let owned = self.heap.pages.pool().hold().owned().total_pages();
        let mut found: Vec<(PageIdx, SpanHandle)> = Vec::new();
        for page in (0..owned).map(|index| self.first.plus(index)) {
            if let Some(handle) = self.heap.pages.index().span_at(page) {
                if found.last().is_none_or(|last| last.1 != handle) {
                    found.push((page, handle));
                }
            }
        }
        found
    }

    pub(super) fn record(&self, handle: SpanHandle) -> &Record {
        self.heap
            .pages
            .online()
            .expect("initialised")
            .records()
            .get(handle)
            .record
    }

    pub(super) fn span(&self, wanted: impl Fn(Kind) -> bool) -> (PageIdx, SpanHandle) {
        let all = self.records();
        let found = all
            .into_iter()
            .find(|(_, handle)| wanted(self.record(*handle).kind()));
        found.expect("the bed has one")
    }

    pub(super) fn large(&self) -> (PageIdx, SpanHandle) {
        self.span(|kind| kind == Kind::Large)
    }

    /// A small span with free slots.
    pub(super) fn partial(&self) -> (PageIdx, SpanHandle) {
        let all = self.records();
        let is_partial =
            |record: &Record| matches!(record.kind(), Kind::Small(_)) && record.free_slots() > 0;
        let found = all
            .into_iter()
            .find(|(_, handle)| is_partial(self.record(*handle)));
        found.expect("the bed has one")
    }

    /// A small span without free slots.
    pub(super) fn full(&self) -> (PageIdx, SpanHandle) {
        let all = self.records();
        let is_full =
            |record: &Record| matches!(record.kind(), Kind::Small(_)) && record.free_slots() == 0;
        let found = all
            .into_iter()
            .find(|(_, handle)| is_full(self.record(*handle)));
        found.expect("the bed has one")
    }

    /// A small span with free slots that is not the first of its list.
    pub(super) fn second_partial(&self) -> SpanHandle {
        let layout = Layout::new::<[u8; 2048]>();
        let objects: Vec<_> = core::iter::repeat_with(|| {
            let object = self.heap.allocate(layout, AllocFlags::empty());
            object.expect("memory").cast::<u8>()
        })
        .take(16)
        .collect();
        // Each in a full span of its own, the later one in front.
        for object in [objects[0], objects[15]] {
            // SAFETY: allocated above, and freed once.
            unsafe { self.heap.deallocate(object, layout) };
        }
        let online = self.heap.pages.online().expect("initialised");
        let address = online.machine.address(objects[0]).expect("in a window");
        self.heap.pages.index().span_of(address).expect("a span")
    }

    /// Allocates the one object of a span and frees it.
    pub(super) fn keep_a_span(&self) {
        self.make_and_free(1024, || ());
        assert!(self.heap.central.lock().count_kept() > 0);
    }

    /// Allocates an object of `bytes` bytes and frees it after `damage`.
    pub(super) fn make_and_free(&self, bytes: usize, damage: impl FnOnce()) {
        let layout = Layout::from_size_align(bytes, 8).expect("layout");
        let object = self
            .heap
            .allocate(layout, AllocFlags::empty())
            .expect("memory");
        damage();
        // SAFETY: allocated just now.
        unsafe { self.heap.deallocate(object.cast(), layout) };
    }

    pub(super) fn class_of(&self, handle: SpanHandle) -> u8 {
        match self.record(handle).kind() {
            Kind::Small(class) => class,
            Kind::Large | Kind::Unused => 0,
        }
    }

    /// A free page that is Ready.
    pub(super) fn free_page(&self) -> PageIdx {
        let mut pool = self.heap.pages.pool().hold();
        let (pages, state, _) = pool.plant();
        let top = PageIdx(Plain32::GEOMETRY.last_offset().value() >> 12);
        let run = pages.highest_ready(state, top, 1);
        run.expect("the bed has one").first
    }
}
