//! Runs for requests that must not call the machine.

use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::Heap;
use super::runs::{ReadyRun, Want};
use crate::base::PageRun;
use crate::region::{Cause, Purpose};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// A run for requests that must not call the machine: Ready as it stands, and so is the bitmap
    /// in front of it, if it is to have one.
    ///
    /// # Errors
    /// There is none among the two that were looked at.
    pub(super) fn obtain_ready(&self, want: Want, flags: AllocFlags) -> Result<ReadyRun, Cause> {
        let ready = self.take_ready(want, flags)?;
        self.keep_if_claimed(want.scan, ready)
    }

    /// Takes the lowest run that is long enough, page cache included, if it is Ready; else, for an
    /// atomic request, a run of the reserve.
    fn take_ready(&self, want: Want, flags: AllocFlags) -> Result<ReadyRun, Cause> {
        let mut page = self.page.lock();
        let page = &mut *page;
        // The cached pages are the lowest: they are looked at with the others.
        self.flush_page_cache(page);
        let lowest = self.pages.lowest_run(&page.pages, want.pages);
        let ready = lowest.filter(|lowest| {
            lowest.scavenged == 0
                && want.starts_at(lowest.run.first)
                && self.has_bits(want.scan, lowest.run)
        });
        let bytes = want.pages << M::GEOMETRY.page_shift;
        if let Some(run) = ready.and_then(|lowest| self.pages.take(&mut page.pages, lowest.run)) {
            let run = run.run;
            self.ledger.transfer(Purpose::Free, Purpose::Objects, bytes);
            return Ok(ReadyRun::used(run));
        }
        if flags.contains(AllocFlags::ATOMIC) {
            if let Some(first) = page.reserve.take(want) {
                let run = PageRun::new(first, want.pages);
                if !self.has_bits(want.scan, run) {
                    page.reserve.put_back(run);
                    return Err(Cause::NotReady { bytes });
                }
                self.ledger
                    .transfer(Purpose::Reserve, Purpose::Objects, bytes);
                self.reserve_low.store(true, Relaxed);
                return Ok(ReadyRun::used(run));
            }
        }
        Err(Cause::NotReady { bytes })
    }
}
