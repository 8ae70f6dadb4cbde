//! Idle heap bitmap: its pages become free, with their memory or without.

use archipelago_api::{Kernel, Machine};

use super::bitmap::BitmapMemory;
use super::page_heap::{Online, PageHeap, STEP};
use super::pool::Victim;
use super::run::{IdlePage, Want};
use crate::region::token::{Ready, Refused};
use crate::region::{Purpose, Space};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Frees idle parts that would stand in the way of the run of `want`: all, if the run is longer
    /// than a page and there are more than it can use.
    #[inline(always)]
    pub(super) fn clear_the_way(&self, online: &Online<M>, want: Want) {
        let idle = self.bitmap.idle_bytes() >> M::GEOMETRY.page_shift;
        // The run may begin and end in the middle of a part's pages.
        let useful = match want.scan.is_yes() {
            true => BitmapMemory::<K>::fewest_parts::<M>(want.pages) + 1,
            false => 0,
        };
        if want.pages > 1 && idle > useful {
            self.free_idle_parts(online);
        }
    }

    /// Makes every idle part a free page, in steps, and returns whether there was one. None is, if
    /// the gate is closed and interrupts are masked.
    pub(super) fn free_idle_parts(&self, online: &Online<M>) -> bool {
        let mut has_freed = false;
        while self.bitmap.idle_bytes() > 0 {
            let Ok(gated) = self.enter() else {
                break;
            };
            for _ in 0..STEP {
                let (machine, ledger) = (&online.machine, &self.ledger);
                let idle =
                    self.bitmap
                        .take_lowest_idle(&self.index, machine, ledger, &gated.windows);
                let Some(idle) = idle else {
                    return has_freed;
                };
                self.free(idle.page);
                has_freed = true;
            }
        }
        has_freed
    }

    /// Frees the page of an idle part, without memory; `false` if the machine is busy, and the part
    /// is idle as before.
    pub(super) fn drop_idle(&self, space: &Space<'_, M>, idle: IdlePage) -> bool {
        let run = idle.page.run();
        let Some(range) = run.range::<M>() else {
            self.bitmap.put_back(&self.index, &self.ledger, idle);
            return false;
        };
        // SAFETY: the page, whose token is held, is Ready, and nothing names or uses it.
        let ready = unsafe { Ready::assume(range) };
        match space.decommit(ready, Purpose::Objects) {
            Ok(prepared) => {
                idle.page.record();
                self.pool.free_scavenged(Victim { run }, prepared);
                true
            }
            Err(Refused { range, .. }) => {
                range.record();
                self.bitmap.put_back(&self.index, &self.ledger, idle);
                false
            }
        }
    }
}
