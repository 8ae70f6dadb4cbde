//! Free memory that CPUs keep in their spans, taken back for others.

use core::sync::atomic::{AtomicBool, Ordering};

use archipelago_api::{AllocFlags, CpuId, Kernel, Machine};

use super::blocks::Cpus;
use crate::pageheap::Online;
use crate::span::{CpuBlock, Emptied, Entered};

/// When the heap has to commit memory, a CPU keeps no more than one of so many of its pages.
const KEPT_SHARE: usize = 160;

/// How often other CPUs are asked to drain their blocks as long as one of them was interrupted
/// inside its block.
const ASKS: u32 = 3;

impl<'a, M: Machine, K: Kernel> Cpus<'a, M, K> {
    /// Gives up the empty spans of this CPU, and all spans with free slots of CPUs that are
    /// offline: before the heap grows.
    pub(super) fn reclaim_all_kept(self, online: &Online<M>) {
        self.give_up_kept(online);
        self.drain_offline(online);
    }

    /// Gives up the empty spans of this CPU. Returns whether there were some.
    pub(super) fn give_up_kept(self, online: &Online<M>) -> bool {
        let Some(entered) = self.enter() else {
            return false;
        };
        // Others may have emptied some.
        entered.read_notices(online.records());
        entered.collect_all(online.records());
        let mut is_any = false;
        entered.give_up_kept(online.records(), 0, |emptied| {
            is_any = true;
            self.retire_emptied(online, emptied);
        });
        is_any
    }

    /// Makes way for a request that was refused: gives up the empty spans of this CPU if `flags`
    /// allow no more, else all that CPUs can give up. Returns whether the request is to be made
    /// again.
    ///
    /// # Locks
    /// As for [`drain`](Self::drain).
    #[cold]
    #[inline(never)]
    pub(super) fn make_way(self, online: &Online<M>, flags: AllocFlags) -> bool {
        if flags.contains(AllocFlags::NO_GROW) {
            return self.give_up_kept(online);
        }
        self.drain(online)
    }

    /// Gives up the empty spans that this CPU keeps if they are more than a small share of the
    /// heap's pages. Returns whether they are.
    pub(super) fn reclaim_kept(self, online: &Online<M>) -> bool {
        let Some(entered) = self.enter() else {
            return false;
        };
        let ready = self.heap.pages.ledger().mapped_ready() / M::GEOMETRY.page_bytes();
        let most = ready / KEPT_SHARE;
        if entered.collect_kept(online.records()) <= most {
            return false;
        }
        let mut lists = self.heap.central.lock();
        entered.give_up_kept(online.records(), most, |Emptied(handle)| {
            self.take_in(online, &mut lists, handle);
        });
        true
    }

    /// Gives up all spans of all CPUs, but those without free slots and those of which others are
    /// freeing slots. Returns whether there is a block.
    ///
    /// What stays, beside: where threads may come between, the spans of a block that somebody is
    /// inside of; where handlers alone may, those of other CPUs that are online if the kernel has
    /// no [`Kernel::on_other_cpus`] or interrupts are masked here, and else of those that were
    /// interrupted in their blocks three times; where nothing may, those of all other CPUs.
    ///
    /// # Locks
    /// Called with no lock held, outside the growth gate. Takes central and page, once for each
    /// span.
    /// # Cost
    /// Linear in the spans that are given up and in the CPUs.
    #[cold]
    pub(crate) fn drain(self, online: &Online<M>) -> bool {
        if !self.has_blocks() {
            return false;
        }
        if K::CPUS > 1 && K::REENTRY.is_by_threads() {
            for number in 0..K::CPUS {
                let block = self.block_of(number.into());
                let entered = block.and_then(|block| self.enter_other(block, number));
                if let Some(entered) = entered {
                    self.drain_entered(online, &entered);
                    leave::<K>(entered, number);
                }
            }
            return true;
        }
        self.drain_own(online);
        self.drain_offline(online);
        self.drain_others(online);
        true
    }

    /// Drains the block of this CPU, if there is one. Returns whether somebody is inside.
    fn drain_own(self, online: &Online<M>) -> bool {
        match self.enter() {
            Some(entered) => self.drain_entered(online, &entered),
            None => return self.is_inside(),
        }
        false
    }

    /// Whether the code that this interrupts is inside the block of this CPU.
    pub(super) fn is_inside(self) -> bool {
        self.block().is_some() && self.enter().is_none()
    }

    fn drain_entered(self, online: &Online<M>, entered: &Entered<'_>) {
        let lock = || self.heap.central.lock();
        entered.drain(online.records(), lock, |lists, handle| {
            self.take_in(online, lists, handle);
        });
    }

    /// Drains the blocks of CPUs that are offline, but those that nobody has used since.
    #[inline(never)]
    fn drain_offline(self, online: &Online<M>) {
        let may_enter = Self::VISITS || K::REENTRY.is_by_threads();
        if K::CPUS <= 1 || !may_enter || !self.has_blocks() {
            return;
        }
        for number in 0..K::CPUS {
            let block = self.block_of(number.into());
            let is_new = |block: &&CpuBlock| !block.is_drained() && !K::is_online(CpuId(number));
            let entered = block.filter(is_new);
            let entered = entered.and_then(|block| {
                // One enters at a time: the mark of a block does not say whose it is.
                let _lists = self.heap.central.lock();
                self.enter_other(block, number)
            });
            if let Some(entered) = entered {
                self.drain_entered(online, &entered);
                entered.leave_drained();
            }
        }
    }

    /// Enters the block of any CPU where threads may come between, else of one that is offline,
    /// unless somebody is inside. The caller holds the central lock.
    pub(super) fn enter_other(self, block: &'a CpuBlock, number: u16) -> Option<Entered<'a>> {
        if K::REENTRY.is_by_threads() {
            // SAFETY: threads may come between, so that anybody may enter.
            return unsafe { block.enter(K::REENTRY) };
        }
        if !Self::VISITS {
            return None;
        }
        // SAFETY: the central lock keeps others out of the call. Only handlers may come between,
        // and by the promise of `Reentry::handlers` the kernel answers as it has to.
        unsafe { block.enter_from_outside(|| !K::is_online(CpuId(number))) }
    }

    /// Has the other CPUs drain their blocks, where nobody else may.
    #[inline(never)]
    fn drain_others(self, online: &Online<M>) {
        self.ask_others(|| self.drain_own(online));
    }

    /// Runs `work` on the other CPUs, in handlers, if the kernel has means of that, and again while
    /// it returns on one of them that somebody is inside of its block.
    pub(super) fn ask_others(self, work: impl Fn() -> bool + Sync) {
        if !Self::VISITS || !K::interrupts_enabled() {
            return;
        }
        for _ in 0..ASKS {
            let is_entered = AtomicBool::new(false);
            let once = || {
                if work() {
                    is_entered.store(true, Ordering::Release);
                }
            };
            if !K::on_other_cpus(&once) || !is_entered.load(Ordering::Acquire) {
                return;
            }
            K::relax();
        }
    }
}

/// Leaves the block of CPU `number`, which was drained.
fn leave<K: Kernel>(entered: Entered<'_>, number: u16) {
    if !K::is_online(CpuId(number)) {
        entered.leave_drained();
    }
}
