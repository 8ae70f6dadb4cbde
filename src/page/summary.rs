//! Summaries: what a chunk, or a subtree of chunks, has to offer.

use core::sync::atomic::{AtomicU32, Ordering};

/// Free pages at the start, the longest free run, and free pages at the end, of pages that lie side
/// by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Free pages at the start.
    pub(crate) start: usize,
    /// Pages of the longest free run.
    pub(crate) max: usize,
    /// Free pages at the end.
    pub(crate) end: usize,
}

impl Summary {
    /// No page is free.
    pub(crate) const NONE: Self = Self {
        start: 0,
        max: 0,
        end: 0,
    };
}

/// A summary in metadata memory, and a hint: `[start, max, end, ready]`.
///
/// A hint of zero says that no page below is free and Ready; any other, that there may be some. A
/// heap owns fewer than 2^32 pages; the counts of a larger one saturate, which hides runs but never
/// makes one up.
pub(crate) type Value = [AtomicU32; 4];

const START: usize = 0;
const MAX: usize = 1;
const END: usize = 2;
const READY: usize = 3;

/// Reads the summary.
#[inline]
pub(crate) fn load(value: &Value) -> Summary {
    Summary {
        start: count(value, START),
        max: count(value, MAX),
        end: count(value, END),
    }
}

/// Reads the longest run alone.
#[inline]
pub(crate) fn longest(value: &Value) -> usize {
    count(value, MAX)
}

/// Reads the pages at the end alone.
#[inline]
pub(crate) fn end(value: &Value) -> usize {
    count(value, END)
}

/// Writes the summary and says whether it changed.
#[inline]
pub(crate) fn store(value: &Value, summary: Summary) -> bool {
    let mut changed = false;
    for (field, count) in value.iter().zip([summary.start, summary.max, summary.end]) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        changed |= field.load(Ordering::Relaxed) != count;
        field.store(count, Ordering::Relaxed);
    }
    changed
}

/// Whether pages below may be free and Ready.
#[inline]
pub(crate) fn may_be_ready(value: &Value) -> bool {
    value[READY].load(Ordering::Relaxed) != 0
}

/// Writes the hint.
#[inline]
pub(crate) fn hint_ready(value: &Value, ready: bool) {
    value[READY].store(u32::from(ready), Ordering::Relaxed);
}

/// The summary of `children` side by side, each of 2^`shift` pages.
#[inline]
pub(crate) fn merge(children: &[Value; 8], shift: usize) -> Summary {
    let pages = 1 << shift;
    let mut start = 0;
    for child in children {
        let free = count(child, START);
        start += free;
        if free != pages {
            break;
        }
    }
    let mut max = 0;
    let mut end = 0;
    for child in children {
        let longest = count(child, MAX);
        if longest == 0 {
            // Nothing else need be read of the many that hold nothing.
            end = 0;
        } else if longest == pages {
            end += pages;
            max = max.max(end);
        } else {
            max = max.max(end + count(child, START)).max(longest);
            end = count(child, END);
        }
    }
    Summary { start, max, end }
}

#[inline]
fn count(value: &Value, field: usize) -> usize {
    value[field].load(Ordering::Relaxed) as usize
}
