//! The limit on Ready memory, and all reactions to too little memory.
//!
//! Every commit is admitted here. Work that is refused for want of memory, by the limit or by the
//! frame allocator, runs again after free pages elsewhere were scavenged for it.

use archipelago_api::{Kernel, Machine};

use super::page_heap::{Online, PageHeap, STEP};
use super::reclaim::Reclaim;
use super::run::{Transit, Want};
use crate::region::{Cause, Ledger, Purpose, Space, Windows};

/// Admits `bytes` more bytes that are to become Ready.
///
/// # Errors
/// [`Cause::Limit`] if they would pass the limit.
pub(super) fn admit(ledger: &Ledger, bytes: usize) -> Result<(), Cause> {
    let (mapped_ready, limit) = (ledger.mapped_ready(), ledger.limit());
    match mapped_ready.checked_add(bytes) {
        Some(sum) if sum <= limit => Ok(()),
        _ => Err(Cause::Limit {
            bytes,
            limit,
            mapped_ready,
        }),
    }
}

/// Bytes of memory that would have helped against `cause`, on a machine with granules of `granule`
/// bytes; 0 if the request was not refused for want of memory.
const fn missing_bytes(cause: Cause, granule: usize) -> usize {
    match cause {
        Cause::Frames { needed, available } | Cause::PageTables { needed, available } => {
            needed.saturating_sub(available).saturating_mul(granule)
        }
        Cause::Limit {
            bytes,
            limit,
            mapped_ready,
        } => mapped_ready.saturating_add(bytes).saturating_sub(limit),
        _ => 0,
    }
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Sets the most bytes that may be Ready, metadata included; `usize::MAX` means no limit.
    /// Memory that is Ready already stays.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.ledger.set_limit(bytes);
    }

    /// Runs `work` inside the gate. As long as it is refused for want of memory that scavenging can
    /// give it, free pages are scavenged and it is to run again: here with interrupts masked, since
    /// the gate might be closed afterwards; else, after `None`, when the gate was open. `last` is
    /// the last refusal, with the memory in use then.
    ///
    /// # Errors
    /// The error of the last run.
    pub(super) fn with_reclaim<R>(
        &self,
        online: &Online<M>,
        (space, windows): (&Space<'_, M>, &mut Windows),
        user: &impl Reclaim<M>,
        last: &mut Option<(Cause, usize)>,
        mut work: impl FnMut(&Space<'_, M>, &mut Windows) -> Result<R, Cause>,
    ) -> Result<Option<R>, Cause> {
        loop {
            match work(space, windows) {
                Err(cause) => {
                    // Scavenging did not change the outcome of the last run, so more of it will not
                    // either.
                    let is_stuck = *last == Some((cause, self.bytes_in_use()));
                    if is_stuck || !self.scavenge_for(online, space, windows, user, cause) {
                        return Err(cause);
                    }
                    *last = Some((cause, self.bytes_in_use()));
                    if K::interrupts_enabled() {
                        return Ok(None);
                    }
                }
                Ok(result) => return Ok(Some(result)),
            }
        }
    }

    /// Scavenges as many free pages as `cause` says were missing, with interrupts on a step's at
    /// most; `false` if there are not so many as were missing, or the machine is busy.
    #[cold]
    fn scavenge_for(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &Windows,
        user: &impl Reclaim<M>,
        cause: Cause,
    ) -> bool {
        let missing = missing_bytes(cause, M::GEOMETRY.granule_bytes());
        let pages = missing.div_ceil(M::GEOMETRY.page_bytes());
        if space.finish_undo().is_err() || pages == 0 {
            return false;
        }
        user.reclaim(online);
        if pages > self.scavengeable_pages() {
            return false;
        }
        let most = if K::interrupts_enabled() { STEP } else { pages };
        let scavenged = self.scavenge_inside(space, windows, pages.min(most));
        scavenged.is_ok_and(|done| done > 0)
    }

    /// Finds a run, at last among pages that were kept back.
    pub(super) fn find_or_reclaim(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Option<Transit> {
        self.pool.find(&self.ledger, want).or_else(|| {
            user.reclaim(online);
            self.pool.find(&self.ledger, want)
        })
    }

    /// Ready bytes that are not free, metadata included.
    fn bytes_in_use(&self) -> usize {
        let free = self.ledger.of(Purpose::Free);
        self.ledger.mapped_ready().saturating_sub(free)
    }
}
