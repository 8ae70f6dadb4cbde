//! The six transitions: the only caller of the machine.
//!
//! A transition takes the token of its range and returns the token of the state that it leads to,
//! or the same token if it is refused. It charges after success.

use core::cell::Cell;

use archipelago_api::{
    Busy, Contents, Kernel, Machine, Patience, PhysAddr, ReserveError, VirtRange,
};

use super::calls::Calls;
use super::cause::Cause;
use super::ledger::Purpose;
use super::ledger::{Ledger, Total};
use super::token::{Prepared, Ready, Refused, Reserved};
use super::undo::{PendingUndo, Undo};
use crate::base::held::HeapNumber;

/// Decides whether so many more bytes may become Ready.
///
/// # Errors
/// [`Cause::Limit`].
pub(crate) type Admit = fn(&Ledger, usize) -> Result<(), Cause>;

/// The machine with its account. A `Space` exists only inside the growth gate: calls of the
/// machine are queued, and no heap lock is held (debug builds check).
#[derive(Debug)]
pub(crate) struct Space<'a, M> {
    pub(super) calls: Calls<'a, M>,
    admit: Admit,
    /// Ranges that could not be undone yet, because the machine was busy.
    pending: &'a Cell<PendingUndo>,
}

impl<'a, M: Machine> Space<'a, M> {
    /// The machine of `heap` on kernel `K`, with its account. `admit` decides what may become
    /// Ready. The machine may wait for its locks if interrupts are enabled.
    ///
    /// # Errors
    /// [`Busy`] if what an earlier call could not undo cannot be undone now either.
    /// # Safety
    /// The caller is inside the growth gate of the heap to which the machine and the account
    /// belong, and stays there as long as the space is used.
    pub(crate) unsafe fn new<K: Kernel>(
        machine: &'a M,
        ledger: &'a Ledger,
        heap: HeapNumber,
        admit: Admit,
        pending: &'a Cell<PendingUndo>,
    ) -> Result<Self, Busy> {
        let space = Self {
            calls: Calls::new::<K>(machine, ledger, heap),
            admit,
            pending,
        };
        space.finish_undo()?;
        Ok(space)
    }

    /// Undoes what an earlier step could not undo. Nothing else is tried before this succeeds,
    /// because every record counts the range as Reserved.
    ///
    /// # Errors
    /// [`Busy`] if the machine still is.
    pub(crate) fn finish_undo(&self) -> Result<(), Busy> {
        if !M::REFUSES {
            return Ok(());
        }
        let mut left = self.pending.get();
        while let Some(undo) = left.take() {
            // SAFETY: `undo` used the token of the range up, and the token that it led to is not
            // used before this succeeds.
            unsafe { self.fault(undo) }?;
            self.pending.set(left);
        }
        Ok(())
    }

    /// The machine, for pointers and addresses alone.
    pub(crate) const fn machine(&self) -> &'a M {
        self.calls.machine
    }

    /// The account.
    pub(crate) const fn ledger(&self) -> &'a Ledger {
        self.calls.ledger
    }

    /// Reserves `range`: from state None to Reserved.
    ///
    /// # Errors
    /// The range is in state None.
    pub(crate) fn reserve(&self, range: VirtRange) -> Result<Reserved, ReserveError> {
        self.calls.check(range);
        // SAFETY: no other call of the machine runs, since the gate is held while there is a space.
        unsafe { self.calls.machine.reserve(range, self.calls.patience) }?;
        self.calls
            .ledger
            .moved(Total::Reserved, true, range.bytes());
        // SAFETY: the machine has just reserved the whole range, and nobody knows of it yet.
        Ok(unsafe { Reserved::assume(range) })
    }

    /// Reserved → Prepared.
    ///
    /// # Errors
    /// The range is Reserved.
    #[inline(always)]
    pub(crate) fn prepare(&self, reserved: Reserved) -> Result<Prepared, Refused<Reserved, Cause>> {
        let range = reserved.record();
        // SAFETY: the range is Reserved, by invariant 1 of its token, which is used up here.
        match unsafe { self.prepare_range(range) } {
            // SAFETY: the whole range is Prepared now, and no token names it.
            Ok(()) => Ok(unsafe { Prepared::assume(range) }),
            // SAFETY: the whole range is Reserved as before, and no token names it.
            Err(why) => Err(Refused::new(unsafe { Reserved::assume(range) }, why)),
        }
    }

    /// # Safety
    /// The whole range is Reserved, unless an undo is pending, and the caller used its token up.
    #[inline(always)]
    unsafe fn prepare_range(&self, range: VirtRange) -> Result<(), Cause> {
        if M::REFUSES && self.pending.get().iter().next().is_some() {
            // The range may be one that is still Prepared.
            return Err(Cause::Busy);
        }
        // SAFETY: the caller's promise is the same, and no undo is pending.
        unsafe { self.calls.prepare(range) }
    }

    /// Prepared → Ready, charged to `purpose`, if that is admitted.
    ///
    /// # Errors
    /// The range is Prepared.
    #[inline(always)]
    pub(crate) fn commit(
        &self,
        prepared: Prepared,
        purpose: Purpose,
    ) -> Result<(Ready, Contents), Refused<Prepared, Cause>> {
        match self.admits(prepared.range().bytes()) {
            Ok(()) => self.commit_admitted(prepared, purpose),
            Err(why) => Err(Refused::new(prepared, why)),
        }
    }

    /// Prepared → Ready, charged to `purpose`. The caller has asked whether that is admitted.
    ///
    /// # Errors
    /// The range is Prepared.
    #[inline(always)]
    pub(crate) fn commit_admitted(
        &self,
        prepared: Prepared,
        purpose: Purpose,
    ) -> Result<(Ready, Contents), Refused<Prepared, Cause>> {
        let range = prepared.record();
        // SAFETY: the range is Prepared, by invariant 1 of its token, which is used up here.
        match unsafe { self.calls.commit(range, purpose) } {
            // SAFETY: the whole range is Ready now, and no token names it.
            Ok(contents) => Ok((unsafe { Ready::assume(range) }, contents)),
            // SAFETY: the whole range is Prepared as before, and no token names it.
            Err(why) => Err(Refused::new(unsafe { Prepared::assume(range) }, why)),
        }
    }

    /// Prepared → Ready with adjacent frames, the first of which begins at a multiple of `align`
    /// bytes, charged to `purpose`, if that is admitted. Returns the address of that frame, too.
    ///
    /// # Errors
    /// The range is Prepared.
    pub(crate) fn commit_adjacent(
        &self,
        prepared: Prepared,
        align: usize,
        purpose: Purpose,
    ) -> Result<(Ready, PhysAddr), Refused<Prepared, Cause>> {
        let range = prepared.record();
        // SAFETY: the range is Prepared, by invariant 1 of its token, which is used up here.
        match unsafe { self.commit_range_adjacent(range, align, purpose) } {
            // SAFETY: the whole range is Ready now, and no token names it.
            Ok(first) => Ok((unsafe { Ready::assume(range) }, first)),
            // SAFETY: the whole range is Prepared as before, and no token names it.
            Err(why) => Err(Refused::new(unsafe { Prepared::assume(range) }, why)),
        }
    }

    /// # Safety
    /// The whole range is Prepared, and the caller used its token up.
    unsafe fn commit_range_adjacent(
        &self,
        range: VirtRange,
        align: usize,
        purpose: Purpose,
    ) -> Result<PhysAddr, Cause> {
        self.calls.check(range);
        (self.admit)(self.calls.ledger, range.bytes())?;
        // SAFETY: `commit_adjacent` needs the whole range Prepared: the caller promises that.
        let first = unsafe {
            self.calls
                .machine
                .commit_adjacent(range, align, self.calls.patience)
        }?;
        self.calls
            .ledger
            .moved(Total::Prepared, false, range.bytes());
        self.calls.ledger.became_ready(purpose, range.bytes());
        Ok(first)
    }

    /// Ready → Prepared, taken off `purpose`.
    ///
    /// # Errors
    /// The range is Ready.
    pub(crate) fn decommit(
        &self,
        ready: Ready,
        purpose: Purpose,
    ) -> Result<Prepared, Refused<Ready, Busy>> {
        let range = ready.record();
        self.calls.check(range);
        // SAFETY: `decommit` needs, by the invariants of the token, which is used up here:
        // - the whole range Ready: 1;
        // - nobody using it any more: 2.
        match unsafe { self.calls.machine.decommit(range, self.calls.patience) } {
            Ok(()) => {
                self.calls.ledger.was_ready(purpose, range.bytes());
                self.calls
                    .ledger
                    .moved(Total::Prepared, true, range.bytes());
                // SAFETY: the whole range is Prepared now, and no token names it.
                Ok(unsafe { Prepared::assume(range) })
            }
            // SAFETY: the whole range is Ready as before, and no token names it.
            Err(why) => Err(Refused::new(unsafe { Ready::assume(range) }, why)),
        }
    }

    /// Whether `bytes` more bytes may become Ready.
    ///
    /// # Errors
    /// [`Cause::Limit`].
    pub(crate) fn admits(&self, bytes: usize) -> Result<(), Cause> {
        (self.admit)(self.calls.ledger, bytes)
    }

    /// To Reserved, whatever the range is.
    ///
    /// # Errors
    /// The range is as it was.
    /// # Safety
    /// The range is as `undo` says, nothing uses it, and the caller used its tokens up.
    unsafe fn fault(&self, undo: Undo) -> Result<(), Busy> {
        let Undo { range, ready } = undo;
        self.calls.check(range);
        // SAFETY: `fault` needs, by the caller's promise:
        // - every granule Ready or Prepared;
        // - nobody using it any more.
        unsafe { self.calls.machine.fault(range, self.calls.patience) }?;
        if ready > 0 {
            self.calls.ledger.was_ready(Purpose::UnusedMetadata, ready);
        }
        self.calls
            .ledger
            .moved(Total::Prepared, false, range.bytes() - ready);
        self.calls
            .ledger
            .moved(Total::Reserved, true, range.bytes());
        Ok(())
    }

    /// Undoes a [`prepare`](Self::prepare). Where the machine is busy, the undo is pending: it
    /// comes before the next call, see [`finish_undo`](Self::finish_undo).
    pub(crate) fn unprepare(&self, prepared: Prepared) -> Reserved {
        let range = prepared.record();
        // SAFETY: the range is Prepared and unused, by the invariants of its token, which is used
        // up here.
        unsafe { self.undo(Undo { range, ready: 0 }) }
    }

    /// Undoes a [`prepare`](Self::prepare) of a range, the first part of which, `head`, was
    /// committed and charged to `purpose`, as [`unprepare`](Self::unprepare) does.
    pub(crate) fn unmake(&self, head: Ready, rest: Option<Prepared>, purpose: Purpose) -> Reserved {
        let head = head.record();
        let ready = head.bytes();
        let range = match rest.map(Prepared::record) {
            Some(rest) => VirtRange::new(head.base(), ready + rest.bytes()).unwrap_or(head),
            None => head,
        };
        self.calls
            .ledger
            .transfer(purpose, Purpose::UnusedMetadata, ready);
        // SAFETY: the range is Ready, then Prepared, and unused, by the invariants of its tokens,
        // which are used up here.
        unsafe { self.undo(Undo { range, ready }) }
    }

    /// # Safety
    /// The range is as `undo` says, nothing uses it, and the caller used its tokens up.
    unsafe fn undo(&self, undo: Undo) -> Reserved {
        // SAFETY: the caller's promise is the same.
        if unsafe { self.fault(undo) }.is_err() {
            let mut pending = self.pending.get();
            pending.add(undo);
            self.pending.set(pending);
        }
        // SAFETY: no token names the range. It is Reserved, or will be before the machine is called
        // for it.
        unsafe { Reserved::assume(undo.range) }
    }

    /// Reserved → Ready and zero-filled, charged to `purpose`: metadata memory.
    ///
    /// # Errors
    /// The range is Reserved.
    /// # Safety
    /// The whole range is Reserved, unless an undo is pending, and the caller used its token up.
    pub(crate) unsafe fn commit_zeroed(
        &self,
        range: VirtRange,
        purpose: Purpose,
    ) -> Result<(), Cause> {
        self.admits(range.bytes())?;
        // SAFETY: the caller's promise is the same.
        unsafe { self.prepare_range(range) }?;
        // SAFETY: the whole range is Prepared now, and no token names it.
        let committed = unsafe { self.calls.commit(range, purpose) };
        match committed {
            Ok(Contents::Zeroed) => Ok(()),
            Ok(Contents::Unknown) => {
                let start = self.calls.machine.pointer(range.base());
                // SAFETY: `write_bytes` needs the bytes
                // - writable: the range is Ready;
                // - unshared: no token names it.
                unsafe { start.write_bytes(0, range.bytes()) };
                Ok(())
            }
            Err(why) => {
                // SAFETY: the whole range is Prepared as before, and no token names it.
                self.unprepare(unsafe { Prepared::assume(range) }).record();
                Err(why)
            }
        }
    }

    /// Reserved → None: undoes a [`reserve`](Self::reserve).
    pub(crate) fn release(&self, reserved: Reserved) {
        let range = reserved.record();
        // SAFETY: the token of the range is used up here.
        unsafe { self.abandon(range) };
        self.calls
            .ledger
            .moved(Total::Reserved, false, range.bytes());
    }

    /// Any state → None: a window of a heap that was never online. The caller clears the account.
    ///
    /// The call waits for the machine, even with interrupts masked. The locks that it needs are
    /// those that the steps to be undone have had: who holds one now came later, so it runs on
    /// another CPU and was not interrupted by the caller.
    ///
    /// # Safety
    /// The range was reserved by this heap, and nothing uses it any more.
    pub(crate) unsafe fn abandon(&self, range: VirtRange) {
        self.calls.check(range);
        // SAFETY: `release` needs, by the caller's promise:
        // - the range reserved;
        // - nobody using it any more.
        let released = unsafe { self.calls.machine.release(range, Patience::Wait) };
        debug_assert!(released.is_ok(), "who may wait is not told `Busy`");
    }
}
