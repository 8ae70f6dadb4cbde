//! Walks over the spans of a heap.

use archipelago_api::{Kernel, Machine};

use crate::arena::{ArenaIndex, SpanHandle};
use crate::base::{PageIdx, PageRun};
use crate::heap::Heap;
use crate::pageheap::Online;
use crate::region::ranges::Ranges;
use crate::span::{Kind, SpanRef};

/// Every span in the owned pages, lowest offset first. The caller holds the central lock and the
/// page lock.
pub(super) fn spans<'a, M: Machine>(
    index: &'a ArenaIndex<M>,
    online: &'a Online<M>,
    owned: &'a Ranges,
) -> impl Iterator<Item = SpanRef<'a>> + 'a {
    let ranges = owned.iter();
    ranges.flat_map(|range| spans_in(index, online, range).map(|(_, span)| span))
}

/// Every span that begins in `range`, which is owned, with its record's handle.
pub(super) fn spans_in<'a, M: Machine>(
    index: &'a ArenaIndex<M>,
    online: &'a Online<M>,
    range: PageRun,
) -> impl Iterator<Item = (SpanHandle, SpanRef<'a>)> + 'a {
    let mut at: PageIdx = range.first;
    core::iter::from_fn(move || {
        while at < range.end() {
            let Some(handle) = index.span_at(at) else {
                at = at.plus(1);
                continue;
            };
            let span = online.records().get(handle);
            // A damaged record may have no pages; the walk must go on all the same.
            at = at.plus(span.record.run::<M>().count.max(1));
            return Some((handle, span));
        }
        None
    })
}

/// Free slots of all spans that CPUs own, and their bytes.
pub(super) fn free_owned_slots<M: Machine, K: Kernel>(
    heap: &Heap<M, K>,
    online: &Online<M>,
) -> (usize, usize) {
    let (mut all, mut bytes) = (0, 0);
    if heap.cpus().bytes() == 0 {
        return (all, bytes);
    }
    let _lists = heap.central.lock();
    let pool = heap.pages.pool().hold();
    for span in spans(heap.pages.index(), online, pool.owned()) {
        let Kind::Small(number) = span.kind() else {
            continue;
        };
        let class = Heap::<M, K>::TABLE.class(number);
        let Some(class) = class.filter(|_| span.record.tag().owner().is_some()) else {
            continue;
        };
        let slots = Heap::<M, K>::TABLE.slots(class);
        let free = slots - span.count_live(slots);
        all += free;
        bytes += free * Heap::<M, K>::TABLE.size(class);
    }
    (all, bytes)
}
