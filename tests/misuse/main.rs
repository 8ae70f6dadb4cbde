//! Every mistake that a heap can find, on every heap, from one table; and shrinks without memory.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

extern crate alloc;

mod cases;
mod shrinks;
mod subjects;
#[cfg(all(unix, not(miri)))]
mod unwinding;

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use archipelago::Fault;
use archipelago::kernels::SingleCpu;
use archipelago_sim::{Hosted, HostedCpus, Plain32, SmallFixed, Top30};
use archipelago_testing::layout;

use cases::{Objects, Reported, cases};
use subjects::{Early, EarlyAfterwards, Firmware, Flat, Owned, Subject, Whole};

/// The report of a kernel that the heap stops during `work`.
fn stopped(name: &str, work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err(name);
    panic.downcast_ref::<String>().expect("a report").clone()
}

/// Whether a free of this subject stops with a report.
fn is_reported<S: Subject>(reported: Reported) -> bool {
    reported == Reported::Always || !cfg!(feature = "trusting") || !S::FREES_OWN
}

/// Makes every mistake, checks that each is refused and changes nothing, and returns the objects.
fn refuses_every_mistake<S: Subject>(subject: &S) -> Objects {
    let (objects, cases) = cases(subject);
    let new = layout(100, 8);
    for case in cases {
        let before = subject.account();
        let (name, pointer, old) = (case.name, case.pointer, case.layout);
        let report = subject.try_free(pointer, old).expect_err(name);
        assert_eq!(
            (report.fault, report.layout),
            (case.fault, Some(old)),
            "{name}"
        );
        assert_eq!(subject.account(), before, "{name}");
        for new in [new, layout(0, 1), layout(1, 1), layout(S::LARGE, 8)] {
            let refused = subject.try_resize(pointer, old, new);
            assert_eq!(refused, Err(report), "{name}");
            assert_eq!(subject.account(), before, "{name}");
        }
        let said = stopped(name, || {
            subject.resize(pointer, old, new);
        });
        assert_eq!(said, report.to_string(), "{name}");
        // Else it is a free of the slot: `a_trusting_heap_frees_the_slot_around_a_pointer`.
        if is_reported::<S>(case.reported) {
            let said = stopped(name, || subject.free(pointer, old));
            assert_eq!(said, report.to_string(), "{name}");
        }
        assert_eq!(subject.account(), before, "{name}");
        // No lock is held, and nothing was handed out twice.
        let object = subject.get(new).expect("memory");
        assert_eq!(subject.try_free(object, new), Ok(()), "{name}");
    }
    objects
}

/// Frees the objects, each once.
fn frees_each_once<S: Subject>(subject: &S, objects: &Objects) {
    for (pointer, layout) in [objects.slot, objects.neighbour, objects.large] {
        assert_eq!(subject.try_free(pointer, layout), Ok(()));
        let report = subject.try_free(pointer, layout).expect_err("it is free");
        assert_eq!(report.fault, Fault::DoubleFree);
    }
    subject.account();
}

fn finds_every_mistake<S: Subject>() {
    let subject = S::new();
    let objects = refuses_every_mistake(&subject);
    frees_each_once(&subject, &objects);
}

#[test]
fn the_whole_heap_finds_every_mistake() {
    finds_every_mistake::<Whole<Plain32>>();
    finds_every_mistake::<Whole<Top30>>();
    finds_every_mistake::<Whole<SmallFixed>>();
    #[cfg(target_pointer_width = "64")]
    finds_every_mistake::<Whole<archipelago_sim::X86_64>>();
}

/// Frees by the CPU that owns the spans, by another, and by one beyond those that own spans.
#[test]
fn spans_of_cpus_find_every_mistake() {
    finds_every_mistake::<Owned<Plain32, HostedCpus, 0>>();
    finds_every_mistake::<Owned<Plain32, HostedCpus, 1>>();
    finds_every_mistake::<Owned<Plain32, HostedCpus, 100>>();
    #[cfg(target_pointer_width = "64")]
    finds_every_mistake::<Owned<archipelago_sim::X86_64, HostedCpus, 0>>();
    #[cfg(target_pointer_width = "64")]
    finds_every_mistake::<Owned<archipelago_sim::X86_64, HostedCpus, 1>>();
}

/// A heap with the feature `trusting` frees the slot around the pointer where others stop, live or
/// not, and no other one.
#[cfg(feature = "trusting")]
#[test]
fn a_trusting_heap_frees_the_slot_around_a_pointer() {
    type Trusting = Owned<Plain32, HostedCpus, 0>;
    let mistakes = cases(&Trusting::new()).1.len();
    let mut trusted = 0;
    for number in 0..mistakes {
        let subject = Trusting::new();
        let (objects, cases) = cases(&subject);
        let case = &cases[number];
        if is_reported::<Trusting>(case.reported) {
            continue;
        }
        trusted += 1;
        let (name, before) = (case.name, subject.objects());
        subject.free(case.pointer, case.layout);
        let mut expected = before;
        if case.fault == Fault::InteriorPointer {
            let freed = objects.slot.0.addr().get();
            expected.retain(|(start, _)| *start != freed);
        }
        assert_eq!(subject.objects(), expected, "{name}");
        for (pointer, layout) in [objects.slot, objects.neighbour, objects.large] {
            let is_live = expected
                .iter()
                .any(|(start, _)| *start == pointer.addr().get());
            assert_eq!(subject.try_free(pointer, layout).is_ok(), is_live, "{name}");
        }
        assert_eq!(subject.objects(), [], "{name}");
        subject.account();
    }
    assert_eq!(trusted, 6);
}

/// A kernel of one CPU has the ready-made type.
#[test]
fn spans_of_one_cpu_find_every_mistake() {
    finds_every_mistake::<Owned<Plain32, SingleCpu<Hosted>, 0>>();
    #[cfg(target_pointer_width = "64")]
    finds_every_mistake::<Owned<archipelago_sim::X86_64, SingleCpu<Hosted>, 0>>();
}

#[test]
fn the_early_heap_finds_every_mistake() {
    finds_every_mistake::<Early<Plain32>>();
}

#[test]
fn the_early_heap_finds_every_mistake_after_it() {
    let early = Early::<Plain32>::new();
    let objects = refuses_every_mistake(&early);
    let afterwards = EarlyAfterwards::init(early);
    frees_each_once(afterwards.early(), &objects);
}

#[test]
fn the_flat_heap_finds_every_mistake() {
    finds_every_mistake::<Flat>();
}

#[test]
fn the_firmware_heap_finds_every_mistake() {
    finds_every_mistake::<Firmware<256>>();
    finds_every_mistake::<Firmware<512>>();
    finds_every_mistake::<Firmware<1024>>();
}

/// Every live object is listed once, lowest first, with its slot or pages; early blocks are not.
fn lists_live_objects<S: Subject>() {
    let subject = S::new();
    assert_eq!(subject.objects(), []);
    let mut random = fastrand::Rng::with_seed(3);
    let mut live = Vec::new();
    for turn in 0..150 {
        let wanted = match turn % 10 {
            0 => layout(random.usize(1..S::LARGE), 8),
            _ => layout(random.usize(1..300), 1 << random.u32(..6)),
        };
        if let Some(pointer) = subject.get(wanted) {
            live.push((pointer, wanted));
        }
        if turn % 3 == 0 {
            let (pointer, layout) = live.swap_remove(random.usize(..live.len()));
            subject.free(pointer, layout);
        }
    }
    live.sort_by_key(|(pointer, _)| pointer.addr());
    let listed = subject.objects();
    assert!(listed.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0));
    assert_eq!(listed.len(), live.len());
    for ((start, bytes), (pointer, layout)) in listed.iter().zip(&live) {
        assert_eq!(*start, pointer.addr().get());
        assert!(*bytes >= layout.size());
    }
    for (pointer, layout) in live {
        subject.free(pointer, layout);
    }
    assert_eq!(subject.objects(), []);
}

#[test]
fn every_heap_lists_its_objects() {
    lists_live_objects::<Whole<Plain32>>();
    lists_live_objects::<Whole<Top30>>();
    lists_live_objects::<Flat>();
    lists_live_objects::<Firmware<256>>();
    lists_live_objects::<Firmware<1024>>();
    let early = Early::<Plain32>::new();
    assert!(early.get(layout(8, 8)).is_some());
    assert_eq!(early.objects(), []);
}

/// Before a heap has memory, all pointers are foreign.
#[test]
fn a_heap_without_memory_has_no_objects() {
    let firmware = archipelago_firmware::FirmwareHeap::<Hosted>::empty();
    let flat = archipelago_flat::FlatHeap::<Hosted>::empty();
    let pointer = core::ptr::NonNull::<u64>::dangling().cast();
    let wanted = layout(8, 8);
    // SAFETY: no object is there.
    let refused = unsafe { firmware.try_deallocate(pointer, wanted) };
    let report = refused.expect_err("it has none");
    assert_eq!(report.fault, Fault::ForeignPointer);
    // SAFETY: no object is there.
    assert_eq!(unsafe { flat.try_deallocate(pointer, wanted) }, Err(report));
}

/// Memory of size zero is no object, wherever it is.
#[test]
fn nothing_is_freed_by_a_layout_without_bytes() {
    let subject = Whole::<Plain32>::new();
    let object = subject.get(layout(64, 8)).expect("memory");
    let before = subject.account();
    assert_eq!(subject.try_free(object, layout(0, 8)), Ok(()));
    assert_eq!(subject.account(), before);
    assert_eq!(subject.try_free(object, layout(64, 8)), Ok(()));
}
