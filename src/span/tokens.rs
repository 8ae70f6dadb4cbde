//! Slots and spans as tokens: neither `Copy` nor `Clone`, and made by the central lists alone.

use super::distance::RecordAddress;
use super::record::Record;
use super::slots::{SlotTaken, SpanRef};
use crate::base::PageRun;

/// A slot that was allocated just now.
///
/// Invariant: the slot's bit was set for this token, so the slot's memory is its holder's alone,
/// and the span stays in use. The token is used up when the memory goes to the caller.
#[derive(Debug)]
#[must_use = "a slot that is dropped is lost"]
pub(crate) struct NewSlot<'a> {
    record: &'a Record,
    #[cfg_attr(
        not(feature = "heap-bits"),
        expect(dead_code, reason = "it serves to find bits, and takes no room here")
    )]
    pub(super) address: RecordAddress,
    slot: usize,
    is_zeroed: bool,
}

impl<'a> NewSlot<'a> {
    /// The token of a slot of `span` whose bit was set just now.
    #[inline(always)]
    pub(super) const fn new(span: SpanRef<'a>, taken: &SlotTaken) -> Self {
        Self {
            record: span.record,
            address: span.address,
            slot: taken.slot,
            is_zeroed: taken.zeroed,
        }
    }

    /// The span's record, which keeps its place as long as the slot is allocated.
    #[inline(always)]
    pub(crate) const fn record(&self) -> &'a Record {
        self.record
    }

    /// The slot's number.
    #[inline(always)]
    pub(crate) const fn number(&self) -> usize {
        self.slot
    }

    /// Whether the slot's memory is known to be zero.
    #[inline(always)]
    pub(crate) const fn is_zeroed(&self) -> bool {
        self.is_zeroed
    }
}

/// The pages of a span whose record went back to the pool.
///
/// Invariant: the record was the only one of these pages, and says nothing of them any more.
#[derive(Debug)]
#[must_use = "pages that are dropped are lost: free them"]
pub(crate) struct RetiredRun {
    run: PageRun,
}

impl RetiredRun {
    /// The token of pages whose record was retired just now.
    pub(super) const fn new(run: PageRun) -> Self {
        Self { run }
    }

    /// The pages.
    #[inline(always)]
    pub(crate) const fn run(&self) -> PageRun {
        self.run
    }
}
