//! Runs in adjacent frames, which devices can use.

use archipelago_api::{Busy, Kernel, Machine, PhysAddr};

use super::page_heap::{Online, PageHeap, STEP};
use super::pool::Victim;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Want};
use crate::base::PageRun;
use crate::region::token::{Prepared, Ready, Refused};
use crate::region::{Cause, Purpose, Space};

/// A run whose frames are exchanged.
///
/// # Invariants
/// 1. The run is taken, and no other token or record names it.
/// 2. The first `gone` pages are Prepared, the others Ready and charged to objects.
struct Exchange {
    run: PageRun,
    gone: usize,
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Allocates a run in adjacent frames, the first of which begins at a multiple of `align`
    /// bytes, and returns the address of that frame.
    ///
    /// A run is allocated like any other, and then its frames are exchanged: growth, limit and
    /// reclaiming are those of all runs. A long run loses its frames in steps, between which the
    /// gate is open. A machine that keeps its memory has none to exchange.
    ///
    /// # Errors
    /// The step that refused. Allocated memory and its account are as before; free pages may have
    /// lost their memory, and the heap may have grown.
    /// # Locks
    /// Takes the growth gate and the page lock. The commit of adjacent frames is one call, however
    /// long the run is, and the gate is closed meanwhile.
    pub(crate) fn alloc_adjacent(
        &self,
        online: &Online<M>,
        want: Want,
        align: usize,
        user: &impl Reclaim<M>,
    ) -> Result<(ReadyRun, PhysAddr), Cause> {
        let needed = want.pages << (M::GEOMETRY.page_shift - M::GEOMETRY.granule_shift);
        if !M::DECOMMITS {
            return Err(Cause::Adjacent { needed });
        }
        let mut exchange = Exchange::of(self.alloc_or_grow(online, want, user)?);
        let is_long = Self::is_long(want.pages);
        let most = if is_long { STEP } else { want.pages };
        loop {
            let exchanged = self.with_machine(online, user, |space, _| {
                exchange.decommit(space, most)?;
                if !exchange.rest().is_empty() {
                    return Ok(None);
                }
                exchange.commit(space, align).map(Some)
            });
            if is_long && exchanged.is_ok() {
                user.between_steps(online);
            }
            match exchanged {
                Ok(Some(first)) => return Ok((exchange.into_rest(), first)),
                Ok(None) => {}
                Err(cause) => {
                    self.drop_exchange(exchange);
                    return Err(cause);
                }
            }
        }
    }

    /// Frees a run whose frames were not exchanged, with the memory that it has.
    fn drop_exchange(&self, exchange: Exchange) {
        if let Some(prepared) = exchange.prepared::<M>() {
            let run = exchange.gone();
            self.pool.free_scavenged(Victim { run }, prepared);
        }
        if !exchange.rest().is_empty() {
            self.free(exchange.into_rest());
        }
    }
}

impl Exchange {
    /// The exchange of the frames of `ready`, none of which is gone.
    const fn of(ready: ReadyRun) -> Self {
        Self {
            run: ready.record(),
            gone: 0,
        }
    }

    /// The pages that have no frames.
    const fn gone(&self) -> PageRun {
        PageRun::new(self.run.first, self.gone)
    }

    /// The pages that have frames.
    fn rest(&self) -> PageRun {
        PageRun::between(self.run.first.plus(self.gone), self.run.end())
    }

    /// The memory of the pages that have no frames, if there are any. The caller gives up the
    /// invariants for them.
    fn prepared<M: Machine>(&self) -> Option<Prepared> {
        let range = self.gone().range::<M>().filter(|_| self.gone > 0)?;
        // SAFETY: the first pages are Prepared, and no token names them, by the invariants.
        Some(unsafe { Prepared::assume(range) })
    }

    /// Gives back the frames of the next `most` pages, or as many as have any.
    ///
    /// # Errors
    /// [`Cause::Busy`]; the pages have their frames.
    fn decommit<M: Machine>(&mut self, space: &Space<'_, M>, most: usize) -> Result<(), Cause> {
        let rest = self.rest();
        let step = PageRun::new(rest.first, rest.count.min(most));
        if step.is_empty() {
            return Ok(());
        }
        let range = step.range::<M>().ok_or(Cause::Busy)?;
        // SAFETY: the step is Ready, and nothing names or uses it, by the invariants.
        let ready = unsafe { Ready::assume(range) };
        match space.decommit(ready, Purpose::Objects) {
            Ok(prepared) => {
                prepared.record();
                self.gone += step.count;
                Ok(())
            }
            Err(Refused { range, why: Busy }) => {
                range.record();
                Err(Cause::Busy)
            }
        }
    }

    /// Commits the run, all of whose frames are gone, with adjacent ones.
    ///
    /// # Errors
    /// The step that refused; the run has no frames.
    fn commit<M: Machine>(
        &mut self,
        space: &Space<'_, M>,
        align: usize,
    ) -> Result<PhysAddr, Cause> {
        let prepared = self.prepared::<M>().ok_or(Cause::Busy)?;
        match space.commit_adjacent(prepared, align, Purpose::Objects) {
            Ok((ready, first)) => {
                ready.record();
                self.gone = 0;
                Ok(first)
            }
            Err(Refused { range, why }) => {
                range.record();
                Err(why)
            }
        }
    }

    /// The token of the pages that have frames.
    fn into_rest(self) -> ReadyRun {
        // SAFETY: 1. the pages are taken, Ready and charged to objects, by the invariants;
        // 2. nothing else names them.
        unsafe { ReadyRun::assume(self.rest()) }
    }
}
