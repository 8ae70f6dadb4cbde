//! Ranges of address space as tokens: holding one is the right to name its next transition.
//!
//! A token is neither `Copy` nor `Clone`, and safe code gets one from a transition alone, so a
//! range has one holder at a time. A range at rest is recorded elsewhere: in the unused address
//! space, in the bitmaps of pages, or by a word of a sparse table. The record's owner makes the
//! token again with [`RangeIn::assume`], which is unsafe.

use core::marker::PhantomData;

use archipelago_api::VirtRange;

/// A range of address space in the state `S`, held by one holder.
///
/// # Invariants
/// 1. Every byte of the range is in the state `S` (for [`Reserved`]: or will be before the machine
///    is called for it, see [`Space::finish_undo`](super::Space::finish_undo)).
/// 2. No other token names a byte of the range, and nothing uses its memory.
#[derive(Debug)]
#[must_use = "a range that is dropped is lost: record it, or move it to another state"]
pub(crate) struct RangeIn<S> {
    range: VirtRange,
    state: PhantomData<fn() -> S>,
}

/// The state Reserved.
#[derive(Debug)]
pub(crate) enum IsReserved {}

/// The state Prepared.
#[derive(Debug)]
pub(crate) enum IsPrepared {}

/// The state Ready.
#[derive(Debug)]
pub(crate) enum IsReady {}

/// A range that the heap owns and that nothing backs.
pub(crate) type Reserved = RangeIn<IsReserved>;
/// A range with page tables and without frames.
pub(crate) type Prepared = RangeIn<IsPrepared>;
/// A range with memory, which nothing uses.
pub(crate) type Ready = RangeIn<IsReady>;

impl<S> RangeIn<S> {
    /// The token of a range that is recorded elsewhere.
    ///
    /// # Safety
    /// The invariants of the type hold: the whole range is in the state `S`, no other token names
    /// a byte of it, and nothing uses its memory.
    #[inline(always)]
    pub(crate) const unsafe fn assume(range: VirtRange) -> Self {
        Self {
            range,
            state: PhantomData,
        }
    }

    /// The addresses.
    #[inline(always)]
    pub(crate) const fn range(&self) -> VirtRange {
        self.range
    }

    /// Gives the token up for a record of the range.
    #[inline(always)]
    pub(crate) const fn record(self) -> VirtRange {
        self.range
    }

    /// The first `bytes` bytes and the rest; the whole and nothing if the range is not longer.
    #[inline(always)]
    pub(crate) fn split_at(self, bytes: usize) -> (Self, Option<Self>) {
        let whole = self.range;
        match whole.split_at(bytes) {
            Some((low, high)) if !high.is_empty() => {
                let of = |range| Self {
                    range,
                    state: PhantomData,
                };
                (of(low), Some(of(high)))
            }
            _ => (self, None),
        }
    }

    /// Undoes [`split_at`](Self::split_at): this range and the `rest` that followed it. A rest that
    /// does not follow is lost.
    pub(crate) fn join(self, rest: Option<Self>) -> Self {
        let follows = |rest: &Self| self.range.end() == Some(rest.range.base());
        let Some(rest) = rest.filter(follows) else {
            return self;
        };
        let bytes = self.range.bytes() + rest.range.bytes();
        Self {
            range: VirtRange::new(self.range.base(), bytes).unwrap_or(self.range),
            state: PhantomData,
        }
    }
}

/// A transition that was refused: why, and the range, in the state that it had.
#[derive(Debug)]
pub(crate) struct Refused<T, E> {
    /// The range.
    pub(crate) range: T,
    /// Why.
    pub(crate) why: E,
}

impl<T, E> Refused<T, E> {
    /// The transition of `range` was refused because of `why`.
    #[inline(always)]
    pub(crate) const fn new(range: T, why: E) -> Self {
        Self { range, why }
    }
}
