//! The six transitions: the only caller of the machine.

use core::cell::Cell;

use archipelago_api::{Busy, Contents, Kernel, Machine, Patience, ReserveError, VirtRange};

use super::ledger::{Ledger, Plain};
use super::{Cause, Purpose};
use crate::base::lock;

/// The machine with its account. Holding one means holding the growth gate: calls of the machine
/// are queued, and no heap lock is held (debug builds check).
#[derive(Debug)]
pub(crate) struct Space<'a, M> {
    machine: &'a M,
    ledger: &'a Ledger,
    patience: Patience,
    may_call: fn() -> bool,
    /// A range that is still Prepared because undoing it met a busy machine.
    unsettled: &'a Cell<Option<VirtRange>>,
}

/// The state that a range leaves, with what its Ready bytes were charged to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaving {
    /// Reserved.
    Reserved,
    /// Prepared.
    Prepared,
    /// A mix, in a window of a heap that was never opened: the caller clears the whole account.
    Mixed,
}

impl<'a, M: Machine> Space<'a, M> {
    /// The machine of a heap on kernel `K`, with its account.
    ///
    /// # Errors
    /// [`Busy`] if what an earlier call could not undo cannot be undone now either.
    pub(crate) fn new<K: Kernel>(
        machine: &'a M,
        ledger: &'a Ledger,
        patience: Patience,
        unsettled: &'a Cell<Option<VirtRange>>,
    ) -> Result<Self, Busy> {
        let may_call = || !lock::any_held::<K>();
        let space = Self {
            machine,
            ledger,
            patience,
            may_call,
            unsettled,
        };
        space.settle()?;
        Ok(space)
    }

    /// Undoes what an earlier step could not undo. Nothing else is tried before it succeeds: the
    /// range counts as Reserved with everybody else.
    ///
    /// # Errors
    /// [`Busy`] if the machine still is.
    pub(crate) fn settle(&self) -> Result<(), Busy> {
        if let Some(range) = self.unsettled.get() {
            self.fault(range, Leaving::Prepared)?;
            self.unsettled.set(None);
        }
        Ok(())
    }

    /// The machine, for pointers and addresses alone.
    pub(crate) const fn machine(&self) -> &'a M {
        self.machine
    }

    /// The account.
    pub(crate) const fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// None → Reserved.
    ///
    /// # Errors
    /// The range is in state None.
    pub(crate) fn reserve(&self, range: VirtRange) -> Result<(), ReserveError> {
        self.called(range);
        self.machine.reserve(range, self.patience)?;
        self.ledger.moved(Plain::Reserved, true, range.bytes());
        Ok(())
    }

    /// Reserved → Prepared.
    ///
    /// # Errors
    /// The range is Reserved.
    pub(crate) fn prepare(&self, range: VirtRange) -> Result<(), Cause> {
        self.called(range);
        // SAFETY: `prepare` needs the whole range Reserved. Callers pass parts of windows that they
        // have not prepared, which they know from the unused ranges or from a table part that is
        // not Ready.
        unsafe { self.machine.prepare(range, self.patience) }?;
        self.ledger.moved(Plain::Reserved, false, range.bytes());
        self.ledger.moved(Plain::Prepared, true, range.bytes());
        Ok(())
    }

    /// Prepared → Ready, charged to `purpose`.
    ///
    /// # Errors
    /// The range is Prepared. The limit on Ready bytes is kept here.
    pub(crate) fn commit(&self, range: VirtRange, purpose: Purpose) -> Result<Contents, Cause> {
        self.called(range);
        let (mapped_ready, limit) = (self.ledger.mapped_ready(), self.ledger.limit());
        let bytes = range.bytes();
        if mapped_ready
            .checked_add(bytes)
            .is_none_or(|sum| sum > limit)
        {
            return Err(Cause::Limit {
                bytes,
                limit,
                mapped_ready,
            });
        }
        // SAFETY: `commit` needs the whole range Prepared. Callers pass scavenged pages that they
        // have marked allocated, or what they have just prepared.
        let contents = unsafe { self.machine.commit(range, self.patience) }?;
        self.ledger.moved(Plain::Prepared, false, bytes);
        self.ledger.became_ready(purpose, bytes);
        Ok(contents)
    }

    /// Ready → Prepared, taken off `purpose`.
    ///
    /// # Errors
    /// The range is Ready.
    pub(crate) fn decommit(&self, range: VirtRange, purpose: Purpose) -> Result<(), Busy> {
        self.called(range);
        // SAFETY: `decommit` needs the range Ready and unused. Callers pass pages that they hold as
        // allocated and have not handed out.
        unsafe { self.machine.decommit(range, self.patience) }?;
        self.ledger.was_ready(purpose, range.bytes());
        self.ledger.moved(Plain::Prepared, true, range.bytes());
        Ok(())
    }

    /// Ready or Prepared → Reserved.
    ///
    /// # Errors
    /// The range is as it was.
    pub(crate) fn fault(&self, range: VirtRange, from: Leaving) -> Result<(), Busy> {
        self.called(range);
        // SAFETY: `fault` needs the range Ready or Prepared and unused. Callers pass what they have
        // prepared and not published.
        unsafe { self.machine.fault(range, self.patience) }?;
        self.left(range, from);
        self.ledger.moved(Plain::Reserved, true, range.bytes());
        Ok(())
    }

    /// Ready → Reserved: metadata of `purpose` that nobody can reach any more.
    ///
    /// # Errors
    /// The range is Ready, and charged as before.
    #[cfg(feature = "heap-bits")]
    pub(crate) fn withdraw(&self, range: VirtRange, purpose: Purpose) -> Result<(), Busy> {
        self.called(range);
        // SAFETY: `fault` needs the range Ready or Prepared and unused. Callers pass what they have
        // said to be absent when nobody was in it.
        unsafe { self.machine.fault(range, self.patience) }?;
        self.ledger.was_ready(purpose, range.bytes());
        self.ledger.moved(Plain::Reserved, true, range.bytes());
        Ok(())
    }

    /// Undoes a [`prepare`](Self::prepare) whose range nobody has seen. Where the machine is busy,
    /// the next call that reaches it undoes the range first: see [`settle`](Self::settle).
    pub(crate) fn unprepare(&self, range: VirtRange) {
        if self.fault(range, Leaving::Prepared).is_err() {
            debug_assert!(
                self.unsettled.get().is_none(),
                "a failing call leaves one range at most"
            );
            self.unsettled.set(Some(range));
        }
    }

    /// Reserved → Ready and zero-filled, charged to `purpose`: metadata memory.
    ///
    /// # Errors
    /// The range is Reserved.
    pub(crate) fn furnish(&self, range: VirtRange, purpose: Purpose) -> Result<(), Cause> {
        self.prepare(range)?;
        match self.commit(range, purpose) {
            Ok(Contents::Zeroed) => Ok(()),
            Ok(Contents::Unknown) => {
                let start = self.machine.pointer(range.base());
                // SAFETY: `write_bytes` needs the bytes writable and unshared: the range has just
                // become Ready, and nobody else knows of it.
                unsafe { start.write_bytes(0, range.bytes()) };
                Ok(())
            }
            Err(cause) => {
                self.unprepare(range);
                Err(cause)
            }
        }
    }

    /// Any state → None: undoes the [`reserve`](Self::reserve) of a window that nobody has seen,
    /// and what was done in it since.
    ///
    /// It waits for the machine, even with interrupts masked. The locks that it needs are those
    /// that the steps to be undone have had: who holds one now came later, so it runs on another
    /// CPU and was not interrupted by the caller.
    pub(crate) fn release(&self, range: VirtRange, from: Leaving) {
        self.called(range);
        // SAFETY: `release` needs the range reserved and unused. Callers pass windows that nobody
        // has seen.
        let released = unsafe { self.machine.release(range, Patience::Wait) };
        debug_assert!(released.is_ok(), "who may wait is not told `Busy`");
        self.left(range, from);
    }

    fn left(&self, range: VirtRange, from: Leaving) {
        match from {
            Leaving::Reserved => self.ledger.moved(Plain::Reserved, false, range.bytes()),
            Leaving::Prepared => self.ledger.moved(Plain::Prepared, false, range.bytes()),
            Leaving::Mixed => {}
        }
    }

    fn called(&self, range: VirtRange) {
        debug_assert!(
            (self.may_call)(),
            "the machine is never called under a heap lock"
        );
        debug_assert!(
            !range.is_empty(),
            "the machine is never called for an empty range"
        );
    }
}
