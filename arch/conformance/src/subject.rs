//! The subject of the suite: a machine, its window, and the controls that it offers.

use core::fmt;

use archipelago_api::{Machine, VirtRange};

/// The result of a rule: an error is the sentence of the contract that does not hold.
pub type Outcome = Result<(), &'static str>;

/// A machine whose frame allocator a test controls.
pub trait Exhaust {
    /// Leaves the allocator `frames` more frames to give, apart from those that the machine holds;
    /// `usize::MAX` stands for all there are.
    fn set_available_frames(&self, frames: usize);

    /// Frames that were allocated and not given back.
    #[must_use]
    fn frames_in_use(&self) -> usize;
}

/// A machine whose lock a test can hold.
pub trait Contend {
    /// Runs `act` while the lock around the mapper or the frame allocator is held.
    fn while_held(&self, act: &mut dyn FnMut());
}

/// A machine under test, its window, and the controls that it offers.
pub struct Subject<'a, M> {
    pub(crate) machine: &'a M,
    pub(crate) window: VirtRange,
    pub(crate) exhaust: Option<&'a dyn Exhaust>,
    pub(crate) contend: Option<&'a dyn Contend>,
}

impl<M> Clone for Subject<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Subject<'_, M> {}

impl<M> fmt::Debug for Subject<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("window", &self.window)
            .field("exhaust", &self.exhaust.is_some())
            .field("contend", &self.contend.is_some())
            .finish_non_exhaustive()
    }
}

impl<'a, M: Machine> Subject<'a, M> {
    /// A machine to be tested in `window`: at least 16 granules in state None that
    /// nothing else uses, without the granule at address 0. All of it becomes Ready, so the machine
    /// needs a frame for each granule, and those of the page tables. A window over the ends of page
    /// tables tests most.
    #[must_use]
    pub fn new(machine: &'a M, window: VirtRange) -> Self {
        Self {
            machine,
            window,
            exhaust: None,
            contend: None,
        }
    }

    /// Adds the rules about a machine that runs out of frames.
    #[must_use]
    pub fn exhaust(self, exhaust: &'a dyn Exhaust) -> Self {
        Self {
            exhaust: Some(exhaust),
            ..self
        }
    }

    /// Adds the rules about a machine whose lock is held.
    #[must_use]
    pub fn contend(self, contend: &'a dyn Contend) -> Self {
        Self {
            contend: Some(contend),
            ..self
        }
    }
}
