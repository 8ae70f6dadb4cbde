//! The heap's machine on several CPUs of ARM, which tell each other of changes to the page tables.

use archipelago_arm::{Broadcast, Maintenance, OneCpu, Paging, Tlb, VirtRange};
use archipelago_qemu::{Frames, Mapper, Memory};

use super::{count, is_careless};

pub(crate) type Machine = Paging<Mapper, Frames, &'static Memory, Counted>;

/// Invalidations on all CPUs, counted.
pub(crate) struct Counted;

impl Counted {
    const EVERYWHERE: Maintenance<Broadcast> = {
        // SAFETY: all CPUs are Cortex-A15, in one Inner Shareable domain.
        Maintenance(unsafe { Broadcast::new() })
    };

    const HERE: Maintenance<OneCpu> = {
        // SAFETY: several CPUs use the heap, which is wrong on purpose: a careless kernel reads
        // pages that may be stale by probes alone.
        Maintenance(unsafe { OneCpu::new() })
    };
}

// SAFETY: the calls are those of `Broadcast`, unless the kernel is careless.
unsafe impl Tlb for Counted {
    fn flush(&self, range: VirtRange) {
        count();
        if is_careless() {
            Self::HERE.flush(range);
        } else {
            Self::EVERYWHERE.flush(range);
        }
    }

    fn filled(&self, range: VirtRange) {
        Self::EVERYWHERE.filled(range);
    }
}

pub(crate) fn machine(memory: &'static Memory) -> Machine {
    // SAFETY:
    // - a reference leads to the same tables and frames always;
    // - there is one pair of first-level tables, which all CPUs use;
    // - the pool's frames lie in RAM, which is mapped at its own addresses and ends below 2 GiB;
    // - the kernel touches no word of a table for the heap's window.
    let machine = unsafe { Paging::shared(memory) };
    machine.returning().with_tlb(Counted)
}

/// From now on this CPU takes part in invalidations, which it does by itself.
pub(crate) fn take_part() {}

/// From now on this CPU uses the heap no more. Nobody waits for one that is off.
pub(crate) fn leave() {}
