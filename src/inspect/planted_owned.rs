//! Planted corruptions of spans that CPUs own: each breaks one rule, and `verify()` names it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, CpuId, Fault, Kernel, Machine};
use archipelago_sim::{Hosted, HostedCpus, Plain32, Sim};

use super::planted::{Sound, planted};
use crate::heap::Heap;
use crate::pageheap::Window;
use crate::span::Record;

/// Objects of four in a span of one page.
const LAYOUT: Layout = Layout::new::<[u64; 128]>();

/// The tag of the next CPU is so much more.
const CPU: u32 = 1 << 16;
/// The tag of the next place is so much more.
const PLACE: u32 = 64;

/// A heap of which CPU 0 owns spans: one that is full, one that is used up, and a current one.
struct DamagedCpu {
    heap: Box<Heap<Sim<Plain32>, HostedCpus>>,
    /// Four objects of each span, and one of the current one.
    objects: Vec<NonNull<u8>>,
}

impl DamagedCpu {
    fn new() -> Self {
        Hosted::set_cpu(CpuId(0));
        let heap: Box<Heap<Sim<Plain32>, HostedCpus>> = Box::default();
        let window = Window::new(0x4000_0000, 1 << 28);
        heap.init(&[window], Sim::builder().build()).expect("init");
        let get = || {
            let object = heap.allocate(LAYOUT, AllocFlags::empty());
            object.expect("memory").cast()
        };
        let objects = (0..9).map(|_| get()).collect();
        heap.verify().expect("a heap that nobody damaged is sound");
        Self { heap, objects }
    }

    /// Does something to the record of the span that holds an object.
    fn record(&self, object: usize, damage: impl FnOnce(&Record)) {
        let online = self.heap.pages.online().expect("initialised");
        let address = online.machine.address(self.objects[object]);
        let address = address.expect("the heap's");
        let handle = self.heap.pages.index().span_of(address).expect("an object");
        let record = online.records().get(handle).record;
        assert!(record.tag().owner().is_some(), "it is the CPU's");
        damage(record);
    }

    /// Frees an object, and returns the fault that was found.
    fn free(&self, object: usize) -> Option<Fault> {
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        let freed = unsafe { self.heap.try_deallocate(self.objects[object], LAYOUT) };
        freed.err().map(|report| report.fault)
    }
}

impl Sound for DamagedCpu {
    type Kernel = HostedCpus;

    fn make() -> Self {
        Self::new()
    }

    fn heap(&self) -> &Heap<Sim<Plain32>, HostedCpus> {
        &self.heap
    }
}

planted! {
    DamagedCpu;
    a_full_span_has_too_much_credit: "a full span of a CPU has as many live slots as its credit says", |bed| {
        bed.record(0, |record| record.plant_free_slots(1));
    };
    a_full_span_has_no_credit: "a full span of a CPU has as many live slots as its credit says", |bed| {
        bed.record(0, |record| record.plant_free_slots(1_u16.wrapping_neg()));
    };
    a_full_span_is_not_full: "a full span of a CPU has as many live slots as its credit says", |bed| {
        bed.record(8, |record| record.plant_previous(u32::MAX));
    };
    an_owner_is_no_cpu: "a span's owner is a CPU", |bed| {
        bed.record(0, |record| record.plant_tag(u32::from(HostedCpus::CPUS) * CPU));
    };
    a_place_is_another_class_s: "a span's place is that of its class", |bed| {
        bed.record(0, |record| record.plant_tag(PLACE));
    };
    a_place_is_none: "a span's place is that of its class", |bed| {
        bed.record(0, |record| record.plant_tag(1));
    };
    a_bit_is_set_beyond_the_slots_of_a_cpu: "no bit is set beyond the slots of a span", |bed| {
        bed.record(8, |record| record.plant_bit(4));
    };
    another_has_freed_a_slot_that_is_not_there: "no bit is set beyond the slots of a span", |bed| {
        bed.record(8, |record| record.plant_bit(255));
    };
}

#[test]
fn all_4_rules_of_owned_spans_are_damaged() {
    let mut rules = RULES.to_vec();
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), 4);
}

/// The last CPU and its neighbours own nothing, and damage no more than what is damaged.
#[test]
fn a_free_in_a_span_of_no_cpu_is_refused() {
    for more in [1, u32::from(HostedCpus::CPUS) - 1, HostedCpus::CPUS.into()] {
        let bed = DamagedCpu::new();
        bed.record(0, |record| record.plant_tag(more * CPU));
        assert_eq!(
            bed.free(1),
            Some(Fault::Corruption("span record")),
            "{more}"
        );
        bed.record(0, |record| record.plant_tag((more * CPU).wrapping_neg()));
        assert_eq!(bed.heap.verify(), Ok(()));
        assert_eq!(bed.free(1), None);
        assert_eq!(bed.free(1), Some(Fault::DoubleFree));
        assert_eq!(bed.heap.verify(), Ok(()));
    }
}
