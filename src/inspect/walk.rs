//! Walks over the spans of a heap.

use archipelago_api::Machine;

use crate::arena::{ArenaIndex, SpanHandle};
use crate::base::{PageIdx, PageRun};
use crate::pageheap::Online;
use crate::region::ranges::Ranges;
use crate::span::SpanRef;

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
            at = at.plus(span.record.run().count.max(1));
            return Some((handle, span));
        }
        None
    })
}
