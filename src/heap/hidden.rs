//! Free slots of full spans that CPUs own.
//!
//! A full span comes into its CPU's queue after a quarter of its slots was freed, and is on no list
//! before. So the slots that were freed until then are found by a walk over all pages of the heap,
//! for requests that would be refused otherwise.

use core::sync::atomic::{AtomicBool, Ordering};

use archipelago_api::{Kernel, Machine};

use super::blocks::Cpus;
use super::object_heap::Heap;
use crate::arena::SpanHandle;
use crate::base::{PageIdx, PageRun};
use crate::pageheap::Online;
use crate::span::{Kind, Lists, SizeClass, has_hidden_slots};

/// Pages that are looked at in one section of the central lock.
const STEP: usize = 8;

/// Pages that another CPU looks at in a handler.
const IN_HANDLER: usize = 64;

/// How often other CPUs are asked for a span.
const ASKS: usize = 3;

/// The outcome for a full span with free slots.
enum Hidden {
    /// The span is central now.
    GivenUp,
    /// The span is another CPU's, which alone can give it up.
    Elsewhere,
}

impl<M: Machine, K: Kernel> Cpus<'_, M, K> {
    /// Gives up the full spans of `class` that have free slots, of all CPUs whose blocks can be
    /// entered. Unless there is one, other CPUs are asked for those that they have in three places.
    /// Returns whether there is one.
    ///
    /// # Locks
    /// Called with no lock held, outside the growth gate. Takes central and page, for a few pages
    /// at a time.
    /// # Cost
    /// Linear in the pages of the heap.
    #[cold]
    #[inline(never)]
    pub(super) fn give_up_hidden(self, online: &Online<M>, class: SizeClass) -> bool {
        if !self.has_blocks() {
            return false;
        }
        let (mut is_any, mut asks) = (false, 0);
        let mut next = PageIdx(0);
        while let Some(run) = self.owned_from(next, STEP) {
            next = run.end();
            let [here, elsewhere] = self.give_up_in(online, class, run);
            is_any |= here;
            if Self::VISITS && elsewhere && !is_any && asks < ASKS {
                asks += 1;
                is_any = self.ask_for_hidden(online, class, run.first);
            }
        }
        is_any
    }

    /// Up to `most` pages that the heap owns, from `first` on.
    fn owned_from(self, first: PageIdx, most: usize) -> Option<PageRun> {
        let pool = self.heap.pages.pool().hold();
        let range = pool.owned().iter().find(|range| range.end() > first)?;
        let first = range.first.max(first);
        let run = PageRun::between(first, range.end());
        Some(PageRun::new(first, run.count.min(most)))
    }

    /// Has the other CPUs give up what they have of `class` in the pages from `first` on.
    #[inline(never)]
    fn ask_for_hidden(self, online: &Online<M>, class: SizeClass, first: PageIdx) -> bool {
        let is_any = AtomicBool::new(false);
        self.ask_others(|| {
            let (mut next, mut is_entered) = (first, false);
            while next < first.plus(IN_HANDLER) {
                let Some(run) = self.owned_from(next, STEP) else {
                    break;
                };
                next = run.end();
                let [here, _] = self.give_up_in(online, class, run);
                if here {
                    is_any.store(true, Ordering::Release);
                }
                is_entered |= self.is_inside();
            }
            is_entered && !is_any.load(Ordering::Relaxed)
        });
        is_any.load(Ordering::Acquire)
    }

    /// Gives up the spans in a run of pages. Returns whether one was given up, and whether there is
    /// one of a CPU that alone can do that.
    fn give_up_in(self, online: &Online<M>, class: SizeClass, run: PageRun) -> [bool; 2] {
        // A record is there as long as the lock is held under which it was found.
        let mut lists = self.heap.central.lock();
        let [mut here, mut elsewhere] = [false; 2];
        let mut page = run.first;
        while page < run.end() {
            let Some(handle) = self.heap.pages.index().span_at(page) else {
                page = page.plus(1);
                continue;
            };
            let record = online.records().get(handle).record;
            page = record.run::<M>().end().max(page.plus(1));
            match self.give_up_if_hidden(online, &mut lists, class, handle) {
                Some(Hidden::GivenUp) => here = true,
                Some(Hidden::Elsewhere) => elsewhere = true,
                None => {}
            }
        }
        [here, elsewhere]
    }

    fn give_up_if_hidden(
        self,
        online: &Online<M>,
        lists: &mut Lists,
        class: SizeClass,
        handle: SpanHandle,
    ) -> Option<Hidden> {
        let span = online.records().get(handle);
        let slots = Heap::<M, K>::TABLE.slots(class);
        if span.kind() != Kind::Small(class.number()) || !has_hidden_slots(span, slots) {
            return None;
        }
        let number = span.record.tag().owner()?.number();
        let owner = self.block_of(number)?;
        let entered = if number == Self::this_cpu() {
            self.enter()
        } else {
            let number = u16::try_from(number).ok()?;
            self.enter_other(owner, number)
        };
        let Some(entered) = entered else {
            return Some(Hidden::Elsewhere);
        };
        if !entered.give_up_full(online.records(), handle) {
            return None;
        }
        self.take_in(online, lists, handle);
        Some(Hidden::GivenUp)
    }
}
