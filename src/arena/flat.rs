//! A flat arena index, to measure what the sparse one costs: one array of handles in the heap's
//! static, for the pages of a bounded window.
//!
//! It stands in for the sparse index where the feature `flat-index` says so, which is for `cargo
//! xtask bench` alone: a heap that outgrows the array is refused memory.

use core::marker::PhantomData;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use archipelago_api::{Machine, VirtAddr};

use super::index::SpanHandle;
use crate::base::{PageIdx, PageRun};
use crate::region::Cause;
use crate::region::metadata::MetadataSource;

/// Pages that have an entry: half a gibibyte of pages of 4 KiB.
const PAGES: usize = 1 << 17;

/// The first page of an array that has no place yet: none of its pages is one of an address space.
const NOWHERE: usize = usize::MAX / 2;

/// The arena index of a heap on `M`, as one array.
#[derive(Debug)]
pub(crate) struct ArenaIndex<M: Machine> {
    /// The page of the first handle.
    first: AtomicUsize,
    handles: [AtomicU32; PAGES],
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine> ArenaIndex<M> {
    /// The largest block that the index asks for, in bytes: it asks for none.
    pub(crate) const BLOCK_BYTES: usize = 0;

    /// An index with nothing in it.
    pub(crate) const fn new() -> Self {
        Self {
            first: AtomicUsize::new(NOWHERE),
            handles: [const { AtomicU32::new(0) }; PAGES],
            machine: PhantomData,
        }
    }

    /// The span that holds `addr`, or `None` for any address that is not in one.
    #[inline]
    pub(crate) fn span_of(&self, addr: VirtAddr) -> Option<SpanHandle> {
        self.span_at(PageIdx::of::<M>(addr)?)
    }

    /// The span that holds `page`.
    #[inline]
    pub(crate) fn span_at(&self, page: PageIdx) -> Option<SpanHandle> {
        let handle = self.entry(page)?.load(Ordering::Acquire);
        NonZeroU32::new(handle).map(SpanHandle)
    }

    /// Sees to it that the pages of `run` have entries. The array begins at the first page that was
    /// ever ensured.
    ///
    /// # Errors
    /// The run lies outside of the array.
    pub(crate) fn ensure(&self, run: PageRun, _: &mut MetadataSource<'_, M>) -> Result<(), Cause> {
        if self.first.load(Ordering::Relaxed) == NOWHERE {
            self.first.store(run.first.0, Ordering::Relaxed);
        }
        let last = run.first.plus(run.count - 1);
        if self.entry(run.first).is_some() && self.entry(last).is_some() {
            Ok(())
        } else {
            Err(Cause::TooLarge {
                bytes: run.bytes::<M>(),
            })
        }
    }

    /// Enters `handle` for every page of `run`, or clears the entries. The run was ensured.
    pub(crate) fn set(&self, run: PageRun, handle: Option<SpanHandle>) {
        let value = handle.map_or(0, |handle| handle.0.get());
        for page in run.first.0..run.end().0 {
            match self.entry(PageIdx(page)) {
                Some(entry) => entry.store(value, Ordering::Release),
                None => debug_assert!(false, "page {page:#x} has no entry"),
            }
        }
    }

    #[inline]
    fn entry(&self, page: PageIdx) -> Option<&AtomicU32> {
        let first = self.first.load(Ordering::Relaxed);
        self.handles.get(page.0.wrapping_sub(first))
    }
}
