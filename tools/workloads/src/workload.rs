//! A workload: the requests before the measurement, those that are measured, and the frees of what
//! they leave.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use std::thread;

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
    /// Whether another thread makes the requests that are measured.
    is_passed_on: bool,
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
            is_passed_on: false,
        }
    }

    /// Lets another thread make the requests that are measured, which has used the heap before.
    #[must_use]
    pub fn passed_on(self) -> Self {
        Self {
            is_passed_on: true,
            ..self
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
    pub fn run(&self, heap: &(dyn GlobalAlloc + Sync)) {
        let mut slots = Slots::new(self.slots.max(1));
        open(heap);
        slots.execute(heap, &self.before);
        if self.is_passed_on {
            let slots = &mut slots;
            thread::scope(|scope| {
                scope.spawn(move || {
                    open(heap);
                    measure(slots, black_box(heap), &self.measured);
                });
            });
        } else {
            measure(&mut slots, black_box(heap), &self.measured);
        }
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

/// A first request, with which a heap gets what it has for the thread.
fn open(heap: &dyn GlobalAlloc) {
    let opening = Action::allocate(0, Layout::new::<u64>(), false);
    Slots::new(1).execute(heap, &[opening, Action::free(0, opening.layout())]);
}

/// The requests that are measured: [`MEASURED`].
#[unsafe(export_name = "archipelago_measured")]
#[inline(never)]
fn measure(slots: &mut Slots, heap: &dyn GlobalAlloc, actions: &[Action]) {
    slots.execute(heap, actions);
}
