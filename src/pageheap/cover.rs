//! Heap bitmap for runs: its pages are taken, become parts, and go back.
//!
//! A run that was found among free pages gets parts in other free pages. A run that the heap grows
//! for is grown with pages for its parts behind it, so that either both are had or none.

use archipelago_api::{Kernel, Machine};

use super::bitmap::BitmapMemory;
use super::page_heap::{Online, PageHeap};
use super::pool::PagePool;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Want};
use crate::base::PageRun;
use crate::region::{Cause, Space, Windows};
use crate::span::Scan;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Runs `make`, which makes the run of `covered` Ready, with the heap bitmap that covers the
    /// run: both succeed or neither.
    ///
    /// # Errors
    /// The error of `make`, or why there is no bitmap.
    pub(super) fn with_bits<R>(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        covered: (Scan, PageRun),
        user: &impl Reclaim<M>,
        make: impl FnOnce() -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        let (scan, run) = covered;
        if !scan.is_yes() {
            return make();
        }
        self.make_parts(online, space, windows, covered, user)
            .and_then(|()| make())
            .inspect(|_| self.claim_committed(scan, run))
            .inspect_err(|_| {
                // Where the machine is busy, idle parts stay for the next request.
                while let Some(idle) =
                    self.bitmap
                        .take_idle(&self.index, space.machine(), &self.ledger, run)
                {
                    if !self.drop_idle(space, idle) {
                        break;
                    }
                }
            })
    }

    /// Makes the parts that are missing of those that cover a run. They are idle.
    ///
    /// # Errors
    /// Why there is no page, or no entry. What was made stays idle.
    fn make_parts(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        (scan, run): (Scan, PageRun),
        user: &impl Reclaim<M>,
    ) -> Result<(), Cause> {
        self.ensure_bits(space, windows, (scan, run))?;
        while let Some(piece) = self.bitmap.first_missing(&self.index, run) {
            let page = self.part_page(online, space, windows, user)?;
            self.bitmap
                .add(&self.index, space.machine(), &self.ledger, piece, page);
        }
        Ok(())
    }

    /// Allocates the page of a part, inside the gate: the highest that is Ready, so that the pages
    /// after the run stay free for it to grow into.
    fn part_page(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        if let Some(highest) = self.pool.take_highest(&self.ledger) {
            return Ok(highest);
        }
        let want = Want::pages(1);
        let found = self.find_or_reclaim(online, want, user);
        match found.map(PagePool::<M, K>::if_ready) {
            None => self.grow(space, windows, want),
            Some(Ok(ready)) => Ok(ready),
            Some(Err(transit)) => {
                let committed = self.commit_part(space, &transit, transit.run());
                self.finish_commit(transit, committed)
            }
        }
    }

    /// Grows the heap by a run with its heap bitmap; if no window has room for both side by side,
    /// by the run alone.
    ///
    /// # Errors
    /// As of [`grow`](Self::grow); the heap may have grown by the run alone, which is free then.
    pub(super) fn grow_covered(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        if !want.scan.is_yes() {
            return self.grow(space, windows, want);
        }
        match self.grow(space, windows, Self::beside_parts(want)) {
            Ok(grown) => Ok(self.keep_beside(&online.machine, want, grown)),
            Err(Cause::Window { .. } | Cause::MetadataWindow { .. }) => {
                let ready = self.grow(space, windows, want)?;
                let covered = (want.scan, ready.run());
                let covered = self.with_bits(online, space, windows, covered, user, || Ok(()));
                self.keep_if_covered(ready, covered)
            }
            Err(cause) => Err(cause),
        }
    }

    /// Takes free pages for a run and its heap bitmap side by side, and commits them.
    ///
    /// # Errors
    /// Why there is no memory; the pages are free again.
    pub(super) fn find_covered(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
    ) -> Option<Result<ReadyRun, Cause>> {
        let found = self
            .pool
            .find_anywhere(&self.ledger, Self::beside_parts(want))?;
        let ready = match PagePool::<M, K>::if_ready(found) {
            Ok(ready) => {
                let ensured = self.ensure_bits(space, windows, (want.scan, ready.run()));
                self.keep_if_covered(ready, ensured)
            }
            Err(transit) => {
                let run = transit.run();
                let committed = self
                    .ensure_bits(space, windows, (want.scan, run))
                    .and_then(|()| self.commit_part(space, &transit, run));
                self.finish_commit(transit, committed)
            }
        };
        Some(ready.map(|ready| self.keep_beside(&online.machine, want, ready)))
    }

    /// Makes the entries of the parts that cover a run.
    pub(super) fn ensure_bits(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        (scan, run): (Scan, PageRun),
    ) -> Result<(), Cause> {
        windows.with_metadata::<M, K, _>(|windows| {
            let mut source = windows.source(space);
            self.bitmap.ensure(&self.index, &mut source, scan, run)
        })
    }

    /// The run of `want` in `all`, which has pages for its parts beside it: before it, so that the
    /// run can grow, unless it is aligned.
    pub(super) const fn split_beside(want: Want, all: ReadyRun) -> (ReadyRun, ReadyRun) {
        if want.align_pages > 1 {
            return all.split_at(want.pages);
        }
        let before = all.run().count - want.pages;
        let (spare, run) = all.split_at(before);
        (run, spare)
    }

    /// Covers the run of `want` by parts in the pages beside it.
    fn keep_beside(&self, machine: &M, want: Want, all: ReadyRun) -> ReadyRun {
        let (run, spare) = Self::split_beside(want, all);
        let spare = self.keep_parts(machine, want.scan, run.run(), spare);
        self.free_spare(spare);
        run
    }

    /// `want` with as many pages more as the parts that cover it can take.
    pub(super) const fn beside_parts(want: Want) -> Want {
        let pages = want.pages + BitmapMemory::<K>::most_parts::<M>(want);
        Want { pages, ..want }
    }

    /// Makes the parts that are missing of those that cover `run` out of pages of `spare`, claims
    /// them, and returns the other pages. The entries of the parts were ensured. The caller holds
    /// the growth gate.
    pub(super) fn keep_parts(
        &self,
        machine: &M,
        scan: Scan,
        run: PageRun,
        mut spare: ReadyRun,
    ) -> ReadyRun {
        while !spare.run().is_empty() {
            let Some(piece) = self.bitmap.first_missing(&self.index, run) else {
                break;
            };
            let (page, others) = spare.split_at(1);
            spare = others;
            self.bitmap
                .add(&self.index, machine, &self.ledger, piece, page);
        }
        self.claim_committed(scan, run);
        spare
    }

    /// Frees the pages that the parts of a run did not take.
    pub(super) fn free_spare(&self, spare: ReadyRun) {
        if !spare.run().is_empty() {
            self.free(spare);
        }
    }

    /// Makes every idle part a free page, and returns whether there was one. None is, if the gate
    /// is closed and interrupts are masked.
    pub(super) fn free_idle_parts(&self, online: &Online<M>) -> bool {
        if self.bitmap.idle_bytes() == 0 {
            return false;
        }
        let Ok(gated) = self.enter() else {
            return false;
        };
        let (machine, ledger) = (&online.machine, &self.ledger);
        let mut has_freed = false;
        while let Some(idle) =
            self.bitmap
                .take_lowest_idle(&self.index, machine, ledger, &gated.windows)
        {
            self.free(idle.page);
            has_freed = true;
        }
        has_freed
    }
}
