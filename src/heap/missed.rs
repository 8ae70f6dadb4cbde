//! Requests that the slots at hand did not serve.

use core::marker::PhantomData;

use archipelago_api::Reentry;

use crate::span::{CpuBlock, Entered, Place};

/// A request that [`alloc_at_once`](crate::alloc_at_once) did not serve, for
/// [`alloc_soon`](crate::alloc_soon), which goes on where that stopped.
///
/// The CPU's spans are in use until then, or until this is dropped: other requests go a longer way.
/// So it stays on its CPU, and in the thread or the handler that has it.
///
/// Invariant: the block is entered.
#[derive(Debug)]
#[must_use = "the CPU's spans are in use as long as it lives"]
#[repr(C)]
pub struct Missed<'a> {
    block: Option<&'a CpuBlock>,
    place: Place,
    /// No other thread may have it.
    _stays: PhantomData<*const ()>,
}

impl<'a> Missed<'a> {
    /// A request for a slot of `place` whose CPU's block is not at hand, or in use.
    #[inline(always)]
    pub(super) fn without_block(place: Place) -> Self {
        Self {
            block: None,
            place,
            _stays: PhantomData,
        }
    }

    /// A request for a slot of `place`, of which an entered block has none at hand.
    #[inline(always)]
    pub(super) fn by(entered: Entered<'a>, place: Place) -> Self {
        Self {
            block: Some(entered.stay()),
            place,
            _stays: PhantomData,
        }
    }

    /// The place.
    #[inline(always)]
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The block, if it was entered, in a kernel of this `reentry`.
    #[inline(always)]
    pub(super) fn into_entered(self, reentry: Reentry) -> Option<Entered<'a>> {
        let block = core::mem::ManuallyDrop::new(self).block?;
        // SAFETY: the block is entered, by the invariant, and was not left.
        Some(unsafe { block.entered(reentry) })
    }
}

impl Drop for Missed<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(block) = self.block {
            // SAFETY: the block is entered, by the invariant, and was not left. Where nothing comes
            // between, the flag that this clears is not set.
            drop(unsafe { block.entered(Reentry::THREADS) });
        }
    }
}
