//! The heap's machine on several CPUs of x86_64: a change of the page tables interrupts all others.

#[path = "../../../../../examples/cpus/shoot_down.rs"]
mod shoot_down;

use core::sync::atomic::Ordering;

use archipelago_qemu::{Frames, Mapper, Memory, on_other_cpu};
use archipelago_x86_64::{Paging, Tlb, VirtRange};

use super::{count, is_careless};
use shoot_down::ShootDown;

pub(crate) type Machine = Paging<Mapper, Frames, &'static Memory, Counted>;

/// The shoot-down, counted.
pub(crate) struct Counted;

// SAFETY: the calls are the shoot-down's. Where CPUs do not take part, the kernel reads pages that
// may be stale by probes alone.
unsafe impl Tlb for Counted {
    fn flush(&self, range: VirtRange) {
        count();
        ShootDown.flush(range);
    }
}

pub(crate) fn machine(memory: &'static Memory) -> Machine {
    on_other_cpu(shoot_down::respond);
    // SAFETY:
    // - a reference leads to the same mapper and frames always;
    // - there is one level-4 table, which all CPUs use, without process-context identifiers;
    // - the pool's frames lie in the physmap, where the mapper says, which is not at address 0;
    // - the entry code sets `EFER.NXE`;
    // - the kernel touches no page-table entry of the heap's window.
    let machine = unsafe { Paging::shared(memory) };
    machine.returning().with_tlb(Counted)
}

/// From now on this CPU takes part in shoot-downs. Each calls this before it uses the heap.
pub(crate) fn take_part() {
    if !is_careless() {
        shoot_down::take_part();
    }
}

/// From now on no shoot-down waits for this CPU, which uses the heap no more. Interrupts are
/// masked.
pub(crate) fn leave() {
    // A request that is under way may wait for this CPU.
    let _request = shoot_down::begin_request();
    shoot_down::CPUS.fetch_and(!shoot_down::this_cpu(), Ordering::SeqCst);
}
