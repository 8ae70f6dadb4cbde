//! The subject of the suite: a machine, its window, and the controls that it offers.

use core::fmt;

use archipelago_api::{Machine, VirtRange};

use crate::progress::Progress;

/// The fewest granules of a window that the suite tests a machine in.
pub const LEAST_GRANULES: usize = 16;

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
    pub(crate) progress: Option<&'a dyn Fn(Progress)>,
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
    /// A machine to be tested in `window`: at least [`LEAST_GRANULES`] granules in state None that
    /// nothing else uses, without the granule at address 0.
    ///
    /// # Size
    /// Larger windows test no more, but for a window over the ends of page tables: 21 granules, the
    /// end of a last-level table among them, are what the project's own machines are tested with.
    /// All of a window becomes Ready in many rules, one after the other. The machine therefore
    /// needs a frame for each granule and those of the page tables, all of which are back after
    /// each rule, and the time grows with the window: a window of a gibibyte is committed, written,
    /// read and decommitted dozens of times.
    #[must_use]
    pub fn new(machine: &'a M, window: VirtRange) -> Self {
        Self {
            machine,
            window,
            exhaust: None,
            contend: None,
            progress: None,
        }
    }

    /// Has `progress` told which rule begins, before each one of [`run`](Self::run): on a machine
    /// that hangs or stops, the last of them is the rule that it was in.
    #[must_use]
    pub fn progress(self, progress: &'a dyn Fn(Progress)) -> Self {
        Self {
            progress: Some(progress),
            ..self
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
