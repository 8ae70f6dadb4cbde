//! Without a heap bitmap: nothing is committed, claimed or given back.
//!
//! Every function is in line, so that a heap without a bitmap has no symbol of it.

#![expect(
    clippy::extra_unused_type_parameters,
    reason = "with a bitmap the machine says how large parts are"
)]

use core::marker::PhantomData;

use archipelago_api::{Kernel, Machine};

use super::super::run::{IdlePage, ReadyRun};
use crate::arena::ArenaIndex;
use crate::base::PageRun;
use crate::base::held::HeapNumber;
use crate::region::metadata::MetadataSource;
use crate::region::{Cause, Ledger, Need, Windows};
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
    pub(in super::super) fn pieces<M: Machine>(_: PageRun) -> impl Iterator<Item = PageRun> {
        core::iter::empty()
    }

    #[inline(always)]
    pub(in super::super) const fn fewest_parts<M: Machine>(_: usize) -> usize {
        0
    }

    #[inline(always)]
    pub(in super::super) const fn first_need<M: Machine>() -> (Need, usize) {
        (Need::of_bytes(0), 0)
    }

    #[inline(always)]
    pub(in super::super) fn ensure<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &mut MetadataSource<'_, M>,
        _: PageRun,
    ) -> Result<(), Cause> {
        Ok(())
    }

    #[inline(always)]
    pub(in super::super) fn add<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &M,
        _: &Ledger,
        _: PageRun,
        page: ReadyRun,
    ) {
        page.record();
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
    pub(crate) fn pages<M: Machine>(&self, _: &Ledger) -> usize {
        0
    }

    #[inline(always)]
    pub(in super::super) fn loose_pages<M: Machine>(&self) -> usize {
        0
    }

    #[inline(always)]
    pub(crate) fn idle_bytes(&self) -> usize {
        0
    }

    #[inline(always)]
    pub(in super::super) fn put_back<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &Ledger,
        idle: IdlePage,
    ) {
        let _ = (idle.covered, idle.page.record());
    }

    #[inline(always)]
    pub(in super::super) fn take_lowest_idle<M: Machine>(
        &self,
        _: &ArenaIndex<M>,
        _: &M,
        _: &Ledger,
        _: &Windows,
        _: bool,
    ) -> Option<IdlePage> {
        None
    }
}
