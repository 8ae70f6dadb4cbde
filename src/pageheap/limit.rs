//! The limit on Ready memory, and what happens when memory runs short.
//!
//! Every commit is admitted here. A request that is refused for want of memory, by the limit or by
//! the frame source, is tried again after free pages elsewhere were scavenged for it.

use archipelago_api::{Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::reclaim::Reclaim;
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

/// The refusals of one request so far.
#[derive(Debug)]
pub(super) struct Refusals {
    /// The last one, and how many bytes were in use then.
    last: Option<(Cause, usize)>,
}

impl Refusals {
    /// No refusal yet.
    pub(super) const fn new() -> Self {
        Self { last: None }
    }
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Sets the most bytes that may be Ready, metadata included; `usize::MAX` means no limit.
    /// Memory that is Ready already stays.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.ledger.set_limit(bytes);
    }

    /// Scavenges against `cause`, for which work inside the gate was refused; `false` if trying
    /// again would not help.
    #[cold]
    pub(super) fn reclaim_for(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &Windows,
        user: &impl Reclaim<M>,
        cause: Cause,
        refusals: &mut Refusals,
    ) -> bool {
        // Scavenging did not change the outcome of the last attempt, so more of it will not either.
        let is_stuck = refusals.last == Some((cause, self.bytes_in_use()));
        if is_stuck
            || space.settle().is_err()
            || !self.scavenge_for(online, space, windows, user, cause)
        {
            return false;
        }
        refusals.last = Some((cause, self.bytes_in_use()));
        true
    }

    /// Scavenges as many free pages as `cause` says were missing; `false` if there are not so many,
    /// or the machine is busy.
    fn scavenge_for(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &Windows,
        user: &impl Reclaim<M>,
        cause: Cause,
    ) -> bool {
        let missing = cause.missing_bytes(M::GEOMETRY.granule_bytes());
        let pages = missing.div_ceil(M::GEOMETRY.page_bytes());
        if pages == 0 {
            return false;
        }
        self.reclaim(online, user);
        if pages > self.scavengeable_pages() {
            return false;
        }
        let scavenged = self.scavenge_inside(space, windows, pages);
        scavenged.is_ok_and(|done| done > 0)
    }

    /// Makes every page that is kept back a free page: those of the user, and the page cache.
    pub(super) fn reclaim(&self, online: &Online<M>, user: &impl Reclaim<M>) {
        user.reclaim(online);
        self.pool.drain_cache();
    }

    /// Ready bytes that are not free, metadata included.
    fn bytes_in_use(&self) -> usize {
        let free = self.ledger.of(Purpose::Free);
        self.ledger.mapped_ready().saturating_sub(free)
    }
}
