//! Without a heap bitmap: nothing is furnished, claimed or given back.

use archipelago_api::{Kernel, Machine};

use super::super::growth::Growth;
use super::super::runs::ReadyRun;
use super::super::{Heap, Opened, PageSide, Violation};
use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::region::{Cause, Space};
use crate::span::{Central, Scan, SpanClass};

#[expect(
    clippy::extra_unused_type_parameters,
    reason = "with a bitmap it depends on the machine's words"
)]
#[inline(always)]
pub(in super::super) const fn bits_share<M: Machine>(_: usize, _: Scan) -> usize {
    0
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    #[inline(always)]
    pub(in super::super) fn furnish_bits(
        &self,
        _: &Space<'_, M>,
        _: &mut Growth,
        _: Scan,
        _: PageRun,
    ) -> Result<(), Cause> {
        Ok(())
    }

    #[inline(always)]
    pub(in super::super) fn has_bits(&self, _: Scan, _: PageRun) -> bool {
        true
    }

    #[inline(always)]
    pub(in super::super) fn claim_furnished(&self, _: Scan, _: PageRun) {}

    #[inline(always)]
    pub(in super::super) fn place_bits(&self, _: &Opened<M>, _: SpanClass, _: SpanHandle) {}

    #[inline(always)]
    pub(in super::super) fn give_bits_back(&self, _: &Space<'_, M>, _: Scan, _: PageRun) {}

    #[inline(always)]
    pub(in super::super) fn with_bits<R>(
        &self,
        _: &Space<'_, M>,
        _: &mut Growth,
        _: Scan,
        _: PageRun,
        make: impl FnOnce() -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        make()
    }

    #[inline(always)]
    pub(in super::super) fn add_bits(
        &self,
        _: &Space<'_, M>,
        _: &mut Growth,
        _: Scan,
        run: PageRun,
    ) -> Result<ReadyRun, Cause> {
        Ok(ReadyRun::used(run))
    }

    #[inline(always)]
    pub(in super::super) fn obtain_bits(
        &self,
        _: &Opened<M>,
        _: Scan,
        run: PageRun,
    ) -> Result<ReadyRun, Cause> {
        Ok(ReadyRun::used(run))
    }

    #[inline(always)]
    pub(in super::super) fn keep_if_claimed(
        &self,
        _: Scan,
        ready: ReadyRun,
    ) -> Result<ReadyRun, Cause> {
        Ok(ready)
    }

    #[inline(always)]
    pub(in super::super) fn clear_given_back(&self, _: Scan, _: PageRun) {}

    #[inline(always)]
    pub(in super::super) fn release_given_back(&self, _: Scan, _: &mut Central, _: PageRun) {}

    #[inline(always)]
    pub(in super::super) fn verify_bits(
        &self,
        _: &Opened<M>,
        _: &Growth,
        _: &Central,
        _: &PageSide,
    ) -> Result<usize, Violation> {
        Ok(0)
    }

    #[inline(always)]
    pub(in super::super) fn idle_bits(&self) -> usize {
        0
    }

    #[inline(always)]
    pub(in super::super) fn scavenge_bits(
        &self,
        _: &Space<'_, M>,
        _: &Growth,
        _: usize,
    ) -> Result<usize, Cause> {
        Ok(0)
    }
}
