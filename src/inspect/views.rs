//! Views for tools: arenas, chunks and spans.

use archipelago_api::{Kernel, Machine, VirtAddr};

use super::walk::spans;
use crate::base::PageIdx;
use crate::heap::Heap;
use crate::span::{Kind, SpanRef};

/// An arena, or the parts of one that the heap owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaView {
    /// The first address of the arena, which the heap need not own.
    pub base: VirtAddr,
    /// Chunks of which the heap owns pages.
    pub chunks: usize,
    /// Pages that the heap owns in it.
    pub pages: usize,
    /// Pages in spans, in runs of the kernel, and in the reserve.
    pub used: usize,
    /// Free pages that are Ready.
    pub ready: usize,
    /// Free pages without memory.
    pub scavenged: usize,
}

/// A chunk, or the part of one that the heap owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkView {
    /// The first address that the heap owns in it.
    pub base: VirtAddr,
    /// The first address of its arena.
    pub arena: VirtAddr,
    /// Pages that the heap owns in it.
    pub pages: usize,
    /// Pages in spans, in runs of the kernel, and in the reserve.
    pub used: usize,
    /// Free pages that are Ready.
    pub ready: usize,
    /// Free pages without memory.
    pub scavenged: usize,
}

/// A span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanView {
    /// The first address.
    pub base: VirtAddr,
    /// The length in bytes.
    pub bytes: usize,
    /// The number of the size class, or `None` for a large object.
    pub class: Option<u8>,
    /// Bytes of a slot.
    pub slot_bytes: usize,
    /// Slots.
    pub slots: usize,
    /// Live slots.
    pub live: usize,
    /// The objects may hold pointers, which the heap bitmap describes. Never so without the feature
    /// `heap-bits`.
    pub is_scannable: bool,
}

impl ArenaView {
    const fn empty(base: VirtAddr) -> Self {
        Self {
            base,
            chunks: 0,
            pages: 0,
            used: 0,
            ready: 0,
            scavenged: 0,
        }
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Calls `visit` with every arena that the heap owns pages of, lowest offset first.
    ///
    /// # Locks
    /// The page lock, throughout: `visit` must not use the heap. It may use another heap, whose
    /// visitors then never use this one.
    /// # Cost
    /// Linear in the chunks.
    pub fn for_each_arena(&self, mut visit: impl FnMut(ArenaView)) {
        let mut arena: Option<ArenaView> = None;
        self.for_each_chunk(|chunk| {
            if let Some(done) = arena.take_if(|arena| arena.base != chunk.arena) {
                visit(done);
            }
            let arena = arena.get_or_insert(ArenaView::empty(chunk.arena));
            arena.chunks += 1;
            arena.pages += chunk.pages;
            arena.used += chunk.used;
            arena.ready += chunk.ready;
            arena.scavenged += chunk.scavenged;
        });
        if let Some(last) = arena {
            visit(last);
        }
    }

    /// Calls `visit` with every chunk that the heap owns pages of, lowest offset first.
    ///
    /// # Locks
    /// The page lock, throughout: `visit` must not use the heap. It may use another heap, whose
    /// visitors then never use this one.
    /// # Cost
    /// Linear in the chunks.
    pub fn for_each_chunk(&self, mut visit: impl FnMut(ChunkView)) {
        let pool = self.pages.pool().hold();
        let (pages, state) = pool.pages();
        for chunk in pages.chunks(state) {
            let arena_pages = M::GEOMETRY.arena_pages();
            let arena = PageIdx(chunk.run.first.0 & !(arena_pages - 1));
            visit(ChunkView {
                base: chunk.run.first.address::<M>(),
                arena: arena.address::<M>(),
                pages: chunk.run.count,
                used: chunk.taken,
                ready: chunk.ready,
                scavenged: chunk.scavenged,
            });
        }
    }

    /// Calls `visit` with every span, lowest offset first.
    ///
    /// # Locks
    /// Central and page, throughout: `visit` must not use the heap. It may use another heap, whose
    /// visitors then never use this one.
    /// # Cost
    /// Linear in the pages that the heap owns.
    pub fn for_each_span(&self, mut visit: impl FnMut(SpanView)) {
        let Some(online) = self.pages.online() else {
            return;
        };
        let _lists = self.central.lock();
        let pool = self.pages.pool().hold();
        for span in spans(self.pages.index(), online, pool.owned()) {
            let run = span.record.run::<M>();
            let bytes = run.bytes::<M>();
            let number = match span.record.kind() {
                Kind::Small(number) => Some(number),
                Kind::Large | Kind::Unused => None,
            };
            let class = number.and_then(|number| Self::TABLE.class(number));
            let slots = class.map_or(1, |class| Self::TABLE.slots(class));
            visit(SpanView {
                base: run.first.address::<M>(),
                bytes,
                class: number,
                slot_bytes: class.map_or(bytes, |class| Self::TABLE.size(class)),
                slots,
                live: class.map_or(1, |_| span.count_live(slots)),
                is_scannable: span.scan().is_yes(),
            });
        }
    }

    /// Calls `visit` with the first address and the bytes of every live object, lowest offset
    /// first: for reports of leaks, and for the owner of a heap that goes. The bytes are those of
    /// the slot or of the pages, of which fewer may have been asked for. Early blocks are no
    /// objects of the address space and are left out, and so are runs of pages.
    ///
    /// # Locks
    /// Central and page, throughout: `visit` must not use the heap. Interrupts are masked
    /// meanwhile.
    /// # Cost
    /// Linear in the pages that the heap owns, and in the slots of their spans.
    pub fn for_each_object(&self, mut visit: impl FnMut(VirtAddr, usize)) {
        let Some(online) = self.pages.online() else {
            return;
        };
        let _lists = self.central.lock();
        let pool = self.pages.pool().hold();
        for span in spans(self.pages.index(), online, pool.owned()) {
            for_each_object_of::<M, K>(span, &mut visit);
        }
    }
}

/// Calls `visit` with the first address and the bytes of every live object of a span.
pub(super) fn for_each_object_of<M: Machine, K: Kernel>(
    span: SpanRef<'_>,
    mut visit: impl FnMut(VirtAddr, usize),
) {
    let first = span.record.base::<M>();
    let (slots, bytes) = slots_of::<M, K>(span);
    let is_large = span.kind() == Kind::Large;
    for slot in (0..slots).filter(|slot| is_large || span.is_live(*slot, slots)) {
        let base = VirtAddr::new(first.value().wrapping_add(slot * bytes));
        visit(base, bytes);
    }
}

/// How many slots a span has, and how many bytes each; a large object is one slot.
pub(super) fn slots_of<M: Machine, K: Kernel>(span: SpanRef<'_>) -> (usize, usize) {
    let class = match span.kind() {
        Kind::Small(number) => Heap::<M, K>::TABLE.class(number),
        Kind::Large => return (1, span.record.run::<M>().bytes::<M>()),
        Kind::Unused => None,
    };
    class.map_or((0, 0), |class| {
        (
            Heap::<M, K>::TABLE.slots(class),
            Heap::<M, K>::TABLE.size(class),
        )
    })
}
