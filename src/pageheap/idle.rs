//! Idle heap bitmap: its pages become free, with their memory or without.

use archipelago_api::{Kernel, Machine};

use super::bitmap::BitmapMemory;
use super::page_heap::{Online, PageHeap, STEP};
use super::pool::Victim;
use super::run::{IdlePage, Want};
use crate::base::invariant::expect_invariant;
use crate::region::token::{Ready, Refused};
use crate::region::{Purpose, Space, Windows};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// Frees idle parts that would stand in the way of the run of `want`, a few at a time: if the
    /// run is longer than a page, there are more than it can use, and the gate is open.
    #[inline(always)]
    pub(super) fn clear_the_way(&self, online: &Online<M>, want: Want) {
        // The run may begin and end in the middle of a part's pages.
        let useful = match want.scan.is_yes() {
            true => BitmapMemory::<K>::fewest_parts::<M>(want.pages) + 1,
            false => 0,
        };
        if want.pages > 1 && self.bitmap.loose_pages::<M>() > useful && K::interrupts_enabled() {
            if let Some(gated) = self.enter_if_open() {
                self.free_few_idle_parts(online, &gated.windows, true);
            }
        }
    }

    /// Makes every idle part a free page, in steps, and returns whether there was one. With
    /// interrupts masked there is one step, and none if the gate is closed.
    // In line, so that nothing is left of it without a heap bitmap.
    #[inline(always)]
    pub(super) fn free_idle_parts(&self, online: &Online<M>) -> bool {
        self.bitmap.loose_pages::<M>() > 0 && self.free_all_idle_parts(online)
    }

    #[cold]
    fn free_all_idle_parts(&self, online: &Online<M>) -> bool {
        let mut has_freed = false;
        while self.bitmap.loose_pages::<M>() > 0 {
            let Ok(gated) = self.enter() else {
                break;
            };
            let is_any = self.free_few_idle_parts(online, &gated.windows, false);
            has_freed |= is_any;
            if !is_any || !K::interrupts_enabled() {
                break;
            }
        }
        has_freed
    }

    /// Makes the lowest idle parts free pages, a step of them at most, and returns whether there
    /// was one.
    fn free_few_idle_parts(&self, online: &Online<M>, windows: &Windows, is_brief: bool) -> bool {
        let mut has_freed = false;
        for _ in 0..STEP {
            let (machine, ledger) = (&online.machine, &self.ledger);
            let idle =
                self.bitmap
                    .take_lowest_idle(&self.index, machine, ledger, windows, is_brief);
            let Some(idle) = idle else {
                break;
            };
            self.free(idle.page);
            has_freed = true;
        }
        has_freed
    }

    /// Frees the page of an idle part, without memory; `false` if the machine is busy, and the part
    /// is idle as before.
    pub(super) fn drop_idle(&self, space: &Space<'_, M>, idle: IdlePage) -> bool {
        let run = idle.page.run();
        let range = run.range::<M>().ok_or(());
        let range = expect_invariant::<K, _, _>(range, "a page of the heap has a range");
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
