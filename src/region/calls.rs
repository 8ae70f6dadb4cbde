//! The calls that make memory Prepared and Ready, in two ways: on a machine that may refuse, and on
//! one that never does. The second way has no result, so that there is no code for a refusal.

use archipelago_api::{Contents, Kernel, Machine, Patience, VirtRange};

use super::cause::Cause;
use super::ledger::{Ledger, Purpose, Total};
use crate::base::held::{HeapNumber, HeldLocks};

/// The machine as the thread inside the growth gate calls it, and the account.
#[derive(Debug)]
pub(super) struct Calls<'a, M> {
    pub(super) machine: &'a M,
    pub(super) ledger: &'a Ledger,
    pub(super) patience: Patience,
    locks: HeldLocks,
}

impl<'a, M: Machine> Calls<'a, M> {
    /// The machine of `heap` on kernel `K`, with its account. It may wait for its locks if
    /// interrupts are enabled.
    pub(super) fn new<K: Kernel>(machine: &'a M, ledger: &'a Ledger, heap: HeapNumber) -> Self {
        Self {
            machine,
            ledger,
            patience: if K::interrupts_enabled() {
                Patience::Wait
            } else {
                Patience::Try
            },
            locks: heap.held_locks::<K>(),
        }
    }

    /// Reserved → Prepared, for the whole range or for none of it.
    ///
    /// # Errors
    /// Why the machine refused; never, if it never does.
    /// # Safety
    /// The whole range is Reserved, and nobody else has the right to it.
    #[inline(always)]
    pub(super) unsafe fn prepare(&self, range: VirtRange) -> Result<(), Cause> {
        if M::REFUSES {
            // SAFETY: the caller's promise is the same.
            unsafe { self.try_to_prepare(range) }
        } else {
            // SAFETY: the caller's promise is the same.
            unsafe { self.prepare_surely(range) };
            Ok(())
        }
    }

    /// # Safety
    /// As for [`prepare`](Self::prepare).
    unsafe fn try_to_prepare(&self, range: VirtRange) -> Result<(), Cause> {
        self.check(range);
        // SAFETY: `prepare` needs the whole range Reserved: the caller promises that.
        unsafe { self.machine.prepare(range, self.patience) }?;
        self.was_prepared(range);
        Ok(())
    }

    /// Prepares on a machine that never refuses.
    ///
    /// # Safety
    /// As for [`prepare`](Self::prepare).
    unsafe fn prepare_surely(&self, range: VirtRange) {
        self.check(range);
        // SAFETY: `prepare` needs the whole range Reserved: the caller promises that.
        let prepared = unsafe { self.machine.prepare(range, self.patience) };
        debug_assert!(prepared.is_ok(), "a machine that never refuses prepares");
        self.was_prepared(range);
    }

    #[inline(always)]
    fn was_prepared(&self, range: VirtRange) {
        self.ledger.moved(Total::Reserved, false, range.bytes());
        self.ledger.moved(Total::Prepared, true, range.bytes());
    }

    /// Prepared → Ready, charged to `purpose`, for the whole range or for none of it.
    ///
    /// # Errors
    /// Why the machine refused; never, if it never does.
    /// # Safety
    /// The whole range is Prepared, and nobody else has the right to it.
    #[inline(always)]
    pub(super) unsafe fn commit(
        &self,
        range: VirtRange,
        purpose: Purpose,
    ) -> Result<Contents, Cause> {
        if M::REFUSES {
            // SAFETY: the caller's promise is the same.
            unsafe { self.try_to_commit(range, purpose) }
        } else {
            // SAFETY: the caller's promise is the same.
            Ok(unsafe { self.commit_surely(range, purpose) })
        }
    }

    /// # Safety
    /// As for [`commit`](Self::commit).
    unsafe fn try_to_commit(&self, range: VirtRange, purpose: Purpose) -> Result<Contents, Cause> {
        self.check(range);
        // SAFETY: `commit` needs the whole range Prepared: the caller promises that.
        let contents = unsafe { self.machine.commit(range, self.patience) }?;
        self.was_committed(range, purpose);
        Ok(contents)
    }

    /// Commits on a machine that never refuses.
    ///
    /// # Safety
    /// As for [`commit`](Self::commit).
    unsafe fn commit_surely(&self, range: VirtRange, purpose: Purpose) -> Contents {
        self.check(range);
        // SAFETY: `commit` needs the whole range Prepared: the caller promises that.
        let contents = unsafe { self.machine.commit(range, self.patience) };
        debug_assert!(contents.is_ok(), "a machine that never refuses commits");
        self.was_committed(range, purpose);
        contents.unwrap_or(Contents::Unknown)
    }

    #[inline(always)]
    fn was_committed(&self, range: VirtRange, purpose: Purpose) {
        self.ledger.moved(Total::Prepared, false, range.bytes());
        self.ledger.became_ready(purpose, range.bytes());
    }

    /// Debug builds check that a call keeps to the rules.
    pub(super) fn check(&self, range: VirtRange) {
        debug_assert!(
            !self.locks.are_any_known(),
            "the machine is never called under a lock of its heap"
        );
        debug_assert!(
            !range.is_empty(),
            "the machine is never called for an empty range"
        );
    }
}
