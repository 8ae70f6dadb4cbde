//! Committing runs in transit, and undoing that.

use archipelago_api::{Contents, Kernel, Machine};

use super::page_heap::PageHeap;
use super::run::{ReadyRun, Transit};
use crate::base::PageRun;
use crate::region::token::{Prepared, Ready, Refused};
use crate::region::{Cause, Purpose, Space};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Commits the pages of `part`, a part of a run in transit, that lack memory, and charges all
    /// of the part to objects. The scavenged bits stay. Returns how many of its first pages may
    /// hold others than zeroes.
    ///
    /// # Errors
    /// The pages that were scavenged are so again. The figures are those of the run from the part
    /// on: nothing is scavenged for a part unless that can make up for all that is to come.
    pub(super) fn commit_part(
        &self,
        space: &Space<'_, M>,
        transit: &Transit,
        part: PageRun,
    ) -> Result<usize, Cause> {
        // All between the two is known to be zero.
        let (mut clear_from, mut clear_to) = (part.first, part.first);
        let (mut committed, mut are_zeroed) = (0, true);
        for hole in self.pool.scavenged_runs(transit, part) {
            let Some(range) = hole.range::<M>() else {
                continue;
            };
            // SAFETY: the invariants of the run in transit, whose token is held, say that
            // - the hole is Prepared: its scavenged bits are set, and it was not committed since;
            // - no other token names it.
            let prepared = unsafe { Prepared::assume(range) };
            match space.commit(prepared, Purpose::Objects) {
                Ok((ready, contents)) => {
                    ready.record();
                    if contents != Contents::Zeroed {
                        are_zeroed = false;
                        clear_from = hole.end();
                    } else if hole.first != clear_to {
                        clear_from = hole.first;
                    }
                    clear_to = hole.end();
                }
                Err(Refused { range, why }) => {
                    range.record();
                    // SAFETY: the holes below were committed just now, for the run whose token is
                    // held.
                    unsafe {
                        let below = PageRun::between(part.first, hole.first);
                        self.decommit_parts(space, transit, below);
                    }
                    let bytes = |pages: usize| pages << M::GEOMETRY.page_shift;
                    let to_come = PageRun::between(part.first, transit.run().end());
                    let all = bytes(self.pool.count_scavenged(to_come));
                    let granule = M::GEOMETRY.granule_bytes();
                    return Err(why.for_all(all, bytes(committed), granule));
                }
            }
            committed += hole.count;
        }
        let before = part.bytes::<M>() - (committed << M::GEOMETRY.page_shift);
        self.ledger
            .transfer(Purpose::Free, Purpose::Objects, before);
        let known = if are_zeroed && part == transit.run() {
            transit.unclear()
        } else {
            part.count
        };
        if clear_to != part.end() {
            return Ok(known);
        }
        Ok(known.min(clear_from.0 - part.first.0))
    }

    /// Undoes [`commit_part`](Self::commit_part): the part is charged as it was before.
    ///
    /// # Safety
    /// The part was committed for this run in transit.
    pub(super) unsafe fn uncommit_part(
        &self,
        space: &Space<'_, M>,
        transit: &Transit,
        part: PageRun,
    ) {
        debug_assert!(
            transit.run().first <= part.first && part.end() <= transit.run().end(),
            "a part of the run"
        );
        let scavenged = self.pool.count_scavenged(part) << M::GEOMETRY.page_shift;
        let before = part.bytes::<M>() - scavenged;
        self.ledger
            .transfer(Purpose::Objects, Purpose::Free, before);
        // SAFETY: the holes of the part were committed, as the caller promises, and the token of
        // the run is borrowed.
        unsafe { self.decommit_parts(space, transit, part) };
    }

    /// Decommits the pages of `run`, a part of `transit`, that were committed for it. Where the
    /// machine has become busy, they stay Ready and become free pages like any other.
    ///
    /// # Safety
    /// The caller holds the token in transit, and every page of `run` whose scavenged bit is set
    /// was committed since the token was made.
    unsafe fn decommit_parts(&self, space: &Space<'_, M>, transit: &Transit, run: PageRun) {
        for part in self.pool.scavenged_runs(transit, run) {
            let Some(range) = part.range::<M>() else {
                continue;
            };
            // SAFETY: the caller holds the token of the run in transit, so
            // - the part is Ready: its scavenged bits are set, and the caller committed it;
            // - no other token names it, and nothing uses it.
            let ready = unsafe { Ready::assume(range) };
            match space.decommit(ready, Purpose::Objects) {
                Ok(prepared) => {
                    prepared.record();
                }
                Err(Refused { range, .. }) => {
                    range.record();
                    self.ledger
                        .transfer(Purpose::Objects, Purpose::Free, part.bytes::<M>());
                    self.pool.keep_ready(part);
                }
            }
        }
    }

    /// Hands out a run in transit whose commit succeeded; frees one whose commit failed, with its
    /// scavenged bits as they are.
    pub(super) fn finish_commit(
        &self,
        transit: Transit,
        committed: Result<usize, Cause>,
    ) -> Result<ReadyRun, Cause> {
        match committed {
            Ok(unclear) => Ok(self.pool.finish_commit(transit, unclear)),
            Err(cause) => {
                self.pool.free_in_transit(transit);
                Err(cause)
            }
        }
    }
}
