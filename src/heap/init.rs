//! Initialisation, windows that come later, and the calls that pass to the page heap.

use core::mem::{self, ManuallyDrop};

use archipelago_api::{Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::{InitError, InitFailure, Window};
use crate::region::Cause;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Gives the heap its windows and its machine, from which it serves requests from now on.
    /// Blocks of the early heap stay where they are.
    ///
    /// Metadata comes from the window marked for it, or else from the high end of the first.
    ///
    /// # Errors
    /// The window and the rule it breaks, or why there is no memory. The heap is as it was, every
    /// window is None again, and the machine comes back in the failure.
    pub fn init(&self, windows: &[Window], mut machine: M) -> Result<(), InitFailure<M>> {
        let heap = self.pages.number_locks();
        self.central.join(heap);
        self.early.join(heap);
        self.refill.join(heap);
        // SAFETY: after a success `conclude` does not drop the machine.
        let opened = unsafe { self.pages.init(windows, &mut machine) };
        // SAFETY: a `ManuallyDrop` is transparent, and so is passed to a function as its value is.
        let conclude =
            unsafe { mem::transmute::<Conclude<ManuallyDrop<M>, M>, Conclude<M, M>>(conclude) };
        conclude(opened, machine)
    }

    /// Adds a window for objects to an initialised heap.
    ///
    /// # Errors
    /// The window and the rule it breaks, or why there is no memory. The heap is as it was;
    /// metadata that was made for the window stays charged.
    pub fn add_window(&self, window: Window) -> Result<(), InitError> {
        self.pages.add_window(window)
    }

    /// Sets the most bytes that may be Ready, metadata included; `usize::MAX` means no limit.
    /// Memory that is Ready already stays.
    pub fn set_limit(&self, bytes: usize) {
        self.pages.set_limit(bytes);
    }

    /// Decommits up to `pages` free pages, highest address first, and returns how many: none on a
    /// machine whose memory serves nobody else ([`Machine::DECOMMITS`]). With the feature
    /// `heap-bits`, idle pages of the heap bitmap count as free pages and go first. The kernel
    /// decides on which thread and when; otherwise pages are scavenged only where a request would
    /// be refused without their memory.
    ///
    /// Spans of CPUs with free slots become the heap's first: those of all CPUs where interrupts
    /// switch threads, else those of the CPU that this runs on, of CPUs that are offline
    /// ([`Kernel::is_online`]) and, with interrupts enabled, of those that the kernel can make work
    /// for this ([`Kernel::on_other_cpus`]). What the CPUs inside their spans keep is left behind.
    ///
    /// # Errors
    /// [`Cause::Busy`] if the machine is in use and interrupts are masked, before anything was
    /// decommitted.
    /// # Locks
    /// Takes the growth gate, throughout; central, the bitmap's (with the feature `heap-bits`), and
    /// page, briefly for every run.
    /// # Cost
    /// A search and a call of the machine for every run of free pages that are Ready.
    pub fn scavenge(&self, pages: usize) -> Result<usize, Cause> {
        let Some(online) = self.pages.online() else {
            return Ok(0);
        };
        self.cpus().drain(online);
        self.pages.scavenge(online, self, pages)
    }
}

/// The result of an initialisation, which forgets the machine or returns it. A machine is large,
/// and without optimisation each mention of it by value takes as much stack: so this is a function
/// of its own, which is called when the deep part is over.
#[inline(never)]
fn conclude<M>(
    opened: Result<(), InitError>,
    mut machine: ManuallyDrop<M>,
) -> Result<(), InitFailure<M>> {
    match opened {
        Ok(()) => Ok(()),
        Err(error) => {
            // SAFETY: the machine is not used again.
            let machine = unsafe { ManuallyDrop::take(&mut machine) };
            Err(InitFailure { error, machine })
        }
    }
}

/// A function that takes the result of `init` and a machine as `T`, and returns the machine if
/// `init` failed.
///
/// A machine is large, and to forget one takes its size of stack several times where nothing is
/// optimised. The function that takes a `ManuallyDrop` need not forget it.
type Conclude<T, M> = fn(Result<(), InitError>, T) -> Result<(), InitFailure<M>>;
