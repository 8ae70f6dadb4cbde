//! Allocation of runs: found, committed, or grown.

use archipelago_api::{Kernel, Machine};

use super::page_heap::{Online, PageHeap};
use super::pool::PagePool;
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Want};
use crate::region::{Cause, Space, Windows};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Allocates a run without heap bitmap, and commits or grows for it as needed.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    // Out of line: spans and records call it.
    #[inline(never)]
    pub(crate) fn alloc_or_grow(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let mut is_last_try = false;
        self.clear_the_way(online, want);
        loop {
            let result = if Self::is_long(want.pages) {
                self.alloc_long(online, want, user)
            } else {
                self.alloc_short(online, want, user)
            };
            match result {
                // Others may have freed so much while it grew that there was nothing to grow for.
                Err(Cause::Window { .. }) if !is_last_try => {
                    is_last_try = true;
                    self.free_idle_parts(online);
                }
                Err(Cause::MetadataWindow { .. })
                    if !is_last_try && self.free_idle_parts(online) =>
                {
                    is_last_try = true;
                }
                result => return result,
            }
        }
    }

    /// Allocates a run, and commits it or grows for it in one step.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    fn alloc_short(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let Some(found) = self.pool.find(&self.ledger, want) else {
            return self.with_machine(online, user, |space, windows| {
                self.find_or_grow(online, space, windows, want, user)
            });
        };
        let found = if found.is_ready::<M>() || !user.reclaim_kept(online) {
            found
        } else {
            self.pool.free_in_transit(found);
            match self.pool.find(&self.ledger, want) {
                Some(found) => found,
                // Somebody else has taken it meanwhile.
                None => return self.alloc_short(online, want, user),
            }
        };
        self.commit_ahead(online, found, user)
    }

    /// Inside the gate: looks at pages that were freed or grown while the caller waited, then at
    /// pages that were kept back, and then grows.
    #[inline(never)]
    fn find_or_grow(
        &self,
        online: &Online<M>,
        space: &Space<'_, M>,
        windows: &mut Windows,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let Some(found) = self.find_or_reclaim(online, want, user) else {
            return self.grow(space, windows, want);
        };
        match PagePool::<M, K>::if_ready(found) {
            Ok(ready) => Ok(ready),
            Err(transit) => {
                let committed = self.commit_part(space, &transit, transit.run());
                self.finish_commit(transit, committed)
            }
        }
    }
}
