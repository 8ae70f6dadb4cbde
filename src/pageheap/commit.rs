//! Committing runs in transit, and undoing that.

use archipelago_api::{Contents, Kernel, Machine};

use super::page_heap::PageHeap;
use super::run::Transit;
use crate::base::PageRun;
use crate::base::invariant::expect_invariant;
use crate::region::token::{Prepared, Ready, Refused};
use crate::region::{Cause, Purpose, Space, Windows};
use crate::span::Scan;

/// A run in transit all of whose pages are Ready and charged to objects, with its scavenged bits as
/// they were.
///
/// Invariant: [`commit_scavenged`](PageHeap::commit_scavenged) succeeded for the run, whose token
/// is borrowed meanwhile.
#[derive(Debug)]
pub(super) struct CommittedRun<'t> {
    transit: &'t Transit,
    is_zeroed: bool,
}

impl CommittedRun<'_> {
    /// Whether all of the run is known to be zero.
    pub(super) const fn is_zeroed(&self) -> bool {
        self.is_zeroed
    }
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Commits the pages of a run in transit that lack memory, and charges the whole run to
    /// objects. The scavenged bits stay.
    ///
    /// # Errors
    /// The pages that were scavenged are so again. The figures are those of the whole run, so that
    /// reclaiming as much is enough for all of its holes.
    pub(super) fn commit_scavenged<'t>(
        &self,
        space: &Space<'_, M>,
        transit: &'t Transit,
    ) -> Result<CommittedRun<'t>, Cause> {
        let run = transit.run();
        let scavenged = self.pool.count_scavenged(run);
        let mut is_zeroed = true;
        let mut committed = 0;
        for part in self.pool.scavenged_runs(run) {
            let Some(range) = part.range::<M>() else {
                continue;
            };
            // SAFETY: the invariants of the run in transit, whose token is held, say that
            // - the part is Prepared: its scavenged bits are set, and it was not committed since;
            // - no other token names it.
            let prepared = unsafe { Prepared::assume(range) };
            match space.commit(prepared, Purpose::Objects) {
                Ok((ready, contents)) => {
                    ready.record();
                    is_zeroed &= contents == Contents::Zeroed;
                }
                Err(Refused { range, why }) => {
                    range.record();
                    // SAFETY: the parts below were committed just now, for the run whose token is
                    // held.
                    unsafe {
                        self.decommit_parts(space, PageRun::between(run.first, part.first));
                    }
                    let bytes = |pages: usize| pages << M::GEOMETRY.page_shift;
                    let all = bytes(scavenged);
                    let granule = M::GEOMETRY.granule_bytes();
                    return Err(why.for_all(all, bytes(committed), granule));
                }
            }
            committed += part.count;
        }
        let before = run.bytes::<M>() - (committed << M::GEOMETRY.page_shift);
        self.ledger
            .transfer(Purpose::Free, Purpose::Objects, before);
        Ok(CommittedRun {
            transit,
            is_zeroed: is_zeroed && committed == run.count,
        })
    }

    /// Undoes [`commit_scavenged`](Self::commit_scavenged): the run is charged as it was before.
    pub(super) fn uncommit_scavenged(&self, space: &Space<'_, M>, committed: CommittedRun<'_>) {
        let run = committed.transit.run();
        let scavenged: usize = self.pool.scavenged_runs(run).map(|part| part.count).sum();
        let before = run.bytes::<M>() - (scavenged << M::GEOMETRY.page_shift);
        self.ledger
            .transfer(Purpose::Objects, Purpose::Free, before);
        // SAFETY: all parts of the run were committed, and its token is borrowed.
        unsafe { self.decommit_parts(space, run) };
    }

    /// Decommits the pages of `run`, a part of a run in transit, that were committed for it. Where
    /// the machine has become busy, they stay Ready and become free pages like any other.
    ///
    /// # Safety
    /// The caller holds the token in transit, and every page of `run` whose scavenged bit is set
    /// was committed since the token was made.
    unsafe fn decommit_parts(&self, space: &Space<'_, M>, run: PageRun) {
        for part in self.pool.scavenged_runs(run) {
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

    /// Runs `make`, which makes `run` Ready, with the heap bitmap that covers the run: both succeed
    /// or neither.
    ///
    /// # Errors
    /// The error of `make`, or why there is no bitmap.
    pub(super) fn with_bits<R>(
        &self,
        space: &Space<'_, M>,
        windows: &mut Windows,
        scan: Scan,
        run: PageRun,
        make: impl FnOnce() -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        windows
            .with_metadata::<M, K>(|windows| {
                self.bitmap.commit(&self.index, space, windows, scan, run)
            })
            .and_then(|()| make())
            .inspect(|_| self.claim_committed(scan, run))
            .inspect_err(|_| self.bitmap.give_back(&self.index, space, scan, run))
    }

    /// Claims the bitmap that covers `run`, which was committed since the caller entered the gate.
    pub(super) fn claim_committed(&self, scan: Scan, run: PageRun) {
        let claimed = self.claim_bits(scan, run).then_some(()).ok_or(());
        expect_invariant::<K, _, _>(claimed, "bitmap that was committed is ready");
    }
}
