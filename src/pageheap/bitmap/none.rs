//! Without a heap bitmap: nothing is committed, claimed or given back.
//!
//! Every function is in line, so that a heap without a bitmap has no symbol of it.

use core::marker::PhantomData;

use archipelago_api::{Kernel, Machine};

use crate::arena::ArenaIndex;
use crate::base::PageRun;
use crate::base::held::HeapNumber;
use crate::region::{Cause, Ledger, Space, Windows};
use crate::span::Scan;

/// The empty twin of the heap bitmap's memory.
#[derive(Debug)]
pub(crate) struct BitmapMemory<K> {
    kernel: PhantomData<fn() -> K>,
}

impl<K: Kernel> BitmapMemory<K> {
    #[inline(always)]
    pub(in super::super) const fn new() -> Self {
        Self {
            kernel: PhantomData,
        }
    }

    #[inline(always)]
    pub(in super::super) fn join(&self, _: HeapNumber) {}

    #[inline(always)]
    pub(in super::super) fn commit<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &Space<'_, M>,
        _: &mut Windows,
        _: Scan,
        _: PageRun,
    ) -> Result<(), Cause> {
        Ok(())
    }

    #[inline(always)]
    pub(in super::super) fn covers<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: Scan,
        _: PageRun,
    ) -> bool {
        true
    }

    #[inline(always)]
    pub(in super::super) fn claim<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &Ledger,
        _: Scan,
        _: PageRun,
    ) -> bool {
        true
    }

    #[inline(always)]
    pub(crate) unsafe fn release<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &Ledger,
        _: Scan,
        _: PageRun,
    ) {
    }

    #[inline(always)]
    pub(in super::super) fn give_back<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &Space<'_, M>,
        _: Scan,
        _: PageRun,
    ) {
    }

    #[inline(always)]
    pub(crate) fn idle_bytes(&self) -> usize {
        0
    }

    #[inline(always)]
    pub(in super::super) fn scavenge<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &Space<'_, M>,
        _: &Windows,
        _: usize,
    ) -> Result<usize, Cause> {
        Ok(0)
    }
}
