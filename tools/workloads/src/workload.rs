//! A workload: the requests before the measurement, those that are measured, and the frees of what
//! they leave.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;

use crate::action::{Action, Slots};

/// The name of the function in which requests are measured, for a profiler.
pub const MEASURED: &str = "archipelago_measured";

/// Requests of one heap.
#[derive(Debug)]
pub struct Workload {
    before: Vec<Action>,
    measured: Vec<Action>,
    /// The frees of the blocks that are live at the end.
    after: Vec<Action>,
    slots: usize,
}

impl Workload {
    /// The workload that measures the second list of requests, which come after the first.
    #[must_use]
    pub fn new(before: Vec<Action>, measured: Vec<Action>) -> Self {
        let all = || before.iter().chain(&measured);
        let slots = all().map(Action::slot).max().map_or(0, |most| most + 1);
        let mut live: Vec<Option<Layout>> = vec![None; slots];
        for action in all() {
            live[action.slot()] = (!action.is_free()).then(|| action.layout());
        }
        let left = live.iter().enumerate();
        let left = left.filter_map(|(slot, layout)| Some(Action::free(slot, (*layout)?)));
        let after = left.collect();
        Self {
            before,
            measured,
            after,
            slots,
        }
    }

    /// The number of requests that are measured.
    #[must_use]
    pub fn actions(&self) -> usize {
        self.measured.len()
    }

    /// The number of all requests.
    #[must_use]
    pub fn all_actions(&self) -> usize {
        self.before.len() + self.measured.len() + self.after.len()
    }

    /// Empty slots for all blocks of the workload.
    #[must_use]
    pub fn slots(&self) -> Slots {
        Slots::new(self.slots)
    }

    /// Makes all requests, those to be measured in [`MEASURED`].
    ///
    /// The heap is opened first, by a request of its own.
    ///
    /// # Panics
    /// If a request is refused.
    pub fn run(&self, heap: &dyn GlobalAlloc) {
        let opening = Action::allocate(0, Layout::new::<u64>(), false);
        let mut slots = Slots::new(self.slots.max(1));
        slots.execute(heap, &[opening, Action::free(0, opening.layout())]);
        slots.execute(heap, &self.before);
        measure(&mut slots, black_box(heap), &self.measured);
        slots.execute(heap, &self.after);
    }

    /// Makes all requests, none of them apart: to be timed.
    ///
    /// # Panics
    /// If a request is refused.
    #[inline(never)]
    pub fn repeat(&self, slots: &mut Slots, heap: &dyn GlobalAlloc) {
        slots.execute(heap, &self.before);
        slots.execute(heap, &self.measured);
        slots.execute(heap, &self.after);
    }

    /// Makes all requests one by one, and lets `look` see each with its block.
    ///
    /// # Panics
    /// If a request is refused.
    pub fn inspect(&self, heap: &dyn GlobalAlloc, mut look: impl FnMut(&Action, *mut u8)) {
        let mut slots = self.slots();
        for list in [&self.before, &self.measured, &self.after] {
            for action in list {
                slots.execute(heap, core::slice::from_ref(action));
                look(action, slots.block(action.slot()));
            }
        }
    }
}

/// The requests that are measured: [`MEASURED`].
#[unsafe(export_name = "archipelago_measured")]
#[inline(never)]
fn measure(slots: &mut Slots, heap: &dyn GlobalAlloc, actions: &[Action]) {
    slots.execute(heap, actions);
}
