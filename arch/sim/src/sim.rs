//! The handle of a simulated machine, and the methods with which tests control and inspect it.

use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use std::sync::PoisonError;

use archipelago_api::{Patience, VirtAddr, VirtRange};

use crate::builder::Builder;
use crate::calls::{Call, Calls};
use crate::flight::{Held, lock};
use crate::geometry::SimGeometry;
use crate::inject::Mode;
use crate::shared::{Hook, Shared};
use crate::states::State;
use crate::violation::violation;

/// A machine made of ordinary memory, with the shape `G`. The value is a handle: its clones are
/// handles of one machine, so a test keeps one while the heap owns another.
///
/// Any call that breaks the contract of [`Machine`](archipelago_api::Machine) panics. The machine
/// itself keeps it but for alignments of more than 256 MiB (32 MiB on hosts with 32 bits) and of
/// more than an arena: a pointer is aligned as its address is up to the larger of the two. Do not
/// ask a heap on this machine for more.
pub struct Sim<G> {
    shared: Arc<Shared>,
    geometry: PhantomData<fn() -> G>,
}

impl<G> Clone for Sim<G> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            geometry: PhantomData,
        }
    }
}

impl<G> fmt::Debug for Sim<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl<G: SimGeometry> Default for Sim<G> {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl<G: SimGeometry> Sim<G> {
    /// Starts the description of a machine.
    pub fn builder() -> Builder<G> {
        Builder::new()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The state of the granule that holds `addr`; an address outside of the space is in state
    /// None.
    #[must_use]
    pub fn state(&self, addr: VirtAddr) -> State {
        match self.shared.geometry.offset(addr) {
            Some(offset) => {
                let granule = offset.value() >> self.shared.geometry.granule_shift;
                self.shared.books().states.at(granule)
            }
            None => State::None,
        }
    }

    /// The number of granules in `state`. Granules in no other state are in state None.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        let books = self.shared.books();
        if state != State::None {
            return books.states.count(state);
        }
        let geometry = self.shared.geometry;
        let used: usize = books.states.all().map(|(run, _)| run.len()).sum();
        (geometry.last_offset().value() >> geometry.granule_shift) + 1 - used
    }

    /// The ranges that are not in state None, in offset order, as maximal ranges of one state. A
    /// test compares them to see that a failure changed nothing.
    #[must_use]
    pub fn ranges(&self) -> Vec<(VirtRange, State)> {
        let geometry = self.shared.geometry;
        let mut ranges = Vec::new();
        let mut push = |run: Range<usize>, state| {
            if let Some(range) = self.shared.range(run) {
                ranges.push((range, state));
            }
        };
        // The granule where addresses wrap to 0.
        let wrap = geometry.base.wrapping_neg() >> geometry.granule_shift;
        for (run, state) in self.shared.books().states.all() {
            if run.start < wrap && wrap < run.end {
                push(run.start..wrap, state);
                push(wrap..run.end, state);
            } else {
                push(run, state);
            }
        }
        ranges
    }

    /// Checks that `bytes` bytes from `addr` may be touched, for hosts where memory does not trap.
    ///
    /// # Panics
    /// If one of them is not Ready.
    pub fn check_access(&self, addr: VirtAddr, bytes: usize) {
        let granule = self.shared.geometry.granule_bytes();
        let last = bytes
            .checked_sub(1)
            .and_then(|above| addr.checked_add(above));
        let Some(last) = last else {
            if bytes == 0 {
                return;
            }
            violation(format_args!(
                "{bytes} bytes at {addr} leave the address space"
            ));
        };
        let first = addr.align_down(granule);
        let length = last.align_down(granule).value() - first.value() + granule;
        let granules =
            VirtRange::new(first, length).and_then(|range| self.shared.granules_of(range));
        let Some(granules) = granules else {
            violation(format_args!(
                "{bytes} bytes at {addr} leave the address space"
            ));
        };
        let found = self
            .shared
            .books()
            .states
            .find_other(granules, &[State::Ready]);
        if let Some((granule, state)) = found {
            let address = self.shared.address(granule);
            violation(format_args!(
                "{bytes} bytes at {addr} are touched, and {address} is {state:?}"
            ));
        }
    }

    /// Calls made so far, failed ones included.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.shared.calls.read()
    }

    /// Frames ever taken from the source. At any quiescent point, frames taken less frames returned
    /// are those of Ready granules, of page tables, and held ones.
    #[must_use]
    pub fn frames_taken(&self) -> usize {
        self.shared.books().frames.taken()
    }

    /// Frames ever returned to the source.
    #[must_use]
    pub fn frames_returned(&self) -> usize {
        self.shared.books().frames.returned()
    }

    /// The number of frames that the source still has, without those that the machine holds.
    #[must_use]
    pub fn available_frames(&self) -> usize {
        self.shared.books().frames.available()
    }

    /// Sets how many more frames the source has.
    pub fn set_available_frames(&self, frames: usize) {
        self.shared.books().frames.set_available(frames);
    }

    /// Marks a range as the kernel's: reserving any of it is refused.
    pub fn occupy(&self, range: VirtRange) {
        self.shared.books().occupied.push(range);
    }

    /// Fails the `nth` call from now on, counted from 1, of those that can fail for want of
    /// something: reserve, prepare and commit. The error is the call's own, with figures one short
    /// of enough.
    pub fn fail_nth(&self, nth: usize, mode: Mode) {
        self.shared.books().failures.arm(nth, mode);
    }

    /// Finds the machine busy at the `nth` call from now on, counted from 1, of those that must not
    /// wait.
    pub fn busy_nth(&self, nth: usize, mode: Mode) {
        lock(&self.shared.busy).arm(nth, mode);
    }

    /// Ends [`fail_nth`](Self::fail_nth) and [`busy_nth`](Self::busy_nth).
    pub fn disarm(&self) {
        self.shared.books().failures.disarm();
        lock(&self.shared.busy).disarm();
    }

    /// Calls that failed by injection, since the last [`fail_nth`](Self::fail_nth) or
    /// [`busy_nth`](Self::busy_nth).
    #[must_use]
    pub fn injected(&self) -> usize {
        self.shared.books().failures.injected() + lock(&self.shared.busy).injected()
    }

    /// Takes the lock around the mapper and the frame allocator, as the kernel does for purposes of
    /// its own. Until the guard is dropped, calls that must not wait return `Busy`, and others
    /// wait.
    ///
    /// # Panics
    /// If this thread is the one that holds it.
    pub fn hold(&self) -> Held<'_> {
        match self.shared.gate.enter(Patience::Wait, &"the kernel") {
            Ok(held) => held,
            Err(busy) => violation(format_args!("{busy}, although the kernel waits for it")),
        }
    }

    /// Runs `hook` inside every call from now on, before the call takes effect: with the machine's
    /// lock held, as the code of a mapper would run. It may look at the machine but not call it. A
    /// hook that owns a handle of this machine keeps it alive until
    /// [`clear_hook`](Self::clear_hook).
    pub fn on_call(&self, hook: impl Fn(Call) + Send + Sync + 'static) {
        self.set_hook(Some(Arc::new(hook)));
    }

    /// Ends [`on_call`](Self::on_call).
    pub fn clear_hook(&self) {
        self.set_hook(None);
    }

    fn set_hook(&self, hook: Option<Hook>) {
        let mut place = self
            .shared
            .hook
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = core::mem::replace(&mut *place, hook);
        // The old hook may own things that use the machine, so it is dropped when the lock is free.
        drop(place);
        drop(old);
    }
}

impl<G: SimGeometry> Builder<G> {
    /// Makes the machine.
    #[must_use]
    pub fn build(self) -> Sim<G> {
        Sim {
            shared: Arc::new(self.build_shared()),
            geometry: PhantomData,
        }
    }
}
