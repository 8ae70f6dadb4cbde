//! Blocks that another enters for a CPU that is offline, where only handlers may come between.
//!
//! There the CPU itself enters by a load and a store, so that an exchange alone would not keep it
//! out. Who comes from outside marks the block, and then looks again whether the CPU is offline;
//! the CPU that comes online makes that known first, and then looks at the mark. Between the two,
//! each has a sequentially consistent fence, so that one of them sees the other.
//!
//! A block stays marked when it is left from outside. Its CPU sees that it is not as it was, and
//! takes the mark away. Another mark says that the block was drained, and need not be soon again.

use super::atomics::replace_flag;
use super::block::{CpuBlock, DRAINED, ENTERED, Entered, LEFT, NOBODY, VISITED};
use crate::base::sync::{Ordering, fence};

impl CpuBlock {
    /// Enters the block of a CPU that `is_offline`, unless somebody is inside or it comes online.
    ///
    /// # Safety
    /// - No two callers are in this function for one block at once: the mark does not say whose it
    ///   is.
    /// - Only handlers may come between.
    /// - While `is_offline`, the CPU does not use the block; whoever finds it so sees all that the
    ///   CPU did before; and between the end of that and the CPU's next use there is a sequentially
    ///   consistent fence.
    pub(crate) unsafe fn enter_from_outside(
        &self,
        is_offline: impl Fn() -> bool,
    ) -> Option<Entered<'_>> {
        if !is_offline() {
            return None;
        }
        let before = self.inside.load(Ordering::Relaxed);
        if before == ENTERED || before == VISITED || !replace_flag(&self.inside, before, VISITED) {
            return None;
        }
        // After the exchange it also orders what others who have drained the block did before.
        fence(Ordering::SeqCst);
        if !is_offline() {
            // It may have seen the mark or not: then it has set its own, or is about to.
            replace_flag(&self.inside, VISITED, before);
            return None;
        }
        // It may have been online in between, and be offline again.
        if self.inside.load(Ordering::Relaxed) != VISITED {
            return None;
        }
        Some(self.visited())
    }

    /// Takes the mark away that another was inside of the block, which keeps its CPU out: on that
    /// CPU, where only handlers may come between.
    #[inline(always)]
    pub(crate) fn come_back(&self) {
        let state = self.inside.load(Ordering::Relaxed);
        if state == LEFT || state == DRAINED {
            // Whoever was inside left the block with release.
            fence(Ordering::Acquire);
            self.inside.store(NOBODY, Ordering::Relaxed);
        }
    }

    /// Whether the block was drained, and neither entered nor sent a notice since.
    pub(crate) fn is_drained(&self) -> bool {
        self.inside.load(Ordering::Relaxed) == DRAINED && self.inbox.is_empty()
    }
}

impl Entered<'_> {
    /// Leaves a block that was drained, of a CPU that is offline.
    pub(crate) fn leave_drained(self) {
        self.stay().inside.store(DRAINED, Ordering::Release);
    }
}
