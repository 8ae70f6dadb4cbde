//! The table of mistakes, which every heap has to find.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use archipelago::Fault;
use archipelago_testing::layout;

use Reported::{Always, UnlessTrusted};

use crate::subjects::Subject;

/// A mistake: the pointer and the layout that are passed, and what is found.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) pointer: NonNull<u8>,
    pub(crate) layout: Layout,
    pub(crate) fault: Fault,
    pub(crate) reported: Reported,
}

/// Whether a free stops with a report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reported {
    /// From every CPU, with every feature.
    Always,
    /// With the feature `trusting`, unless the CPU that frees owns the span. `try_deallocate` and
    /// changes of size find it there, too.
    UnlessTrusted,
}

/// The live objects that mistakes are made with.
pub(crate) struct Objects {
    pub(crate) slot: (NonNull<u8>, Layout),
    pub(crate) neighbour: (NonNull<u8>, Layout),
    pub(crate) large: (NonNull<u8>, Layout),
}

/// Memory that is no heap's.
static FOREIGN: [u64; 16] = [0; 16];

/// Every mistake, with the objects of `subject` that it is made with.
pub(crate) fn cases<S: Subject>(subject: &S) -> (Objects, Vec<Case>) {
    let get = |layout: Layout| (subject.get(layout).expect("memory"), layout);
    let slot = get(layout(64, 8));
    let freed_slot = get(layout(64, 8));
    let neighbour = get(layout(64, 8));
    let alone = get(layout(200, 8));
    let large = get(layout(S::LARGE, 8));
    let freed_large = get(layout(S::LARGE, 8));
    for (pointer, layout) in [freed_slot, alone, freed_large] {
        subject.free(pointer, layout);
    }
    let number = |number| NonNull::new(ptr::without_provenance_mut::<u8>(number)).expect("not 0");
    let above = |(pointer, layout): (NonNull<u8>, Layout), bytes: usize| {
        let above = NonNull::new(pointer.as_ptr().wrapping_add(bytes));
        (above.expect("not null"), layout)
    };
    let sized = |(pointer, old): (NonNull<u8>, Layout), size| (pointer, layout(size, old.align()));
    let too_aligned = |(pointer, old): (NonNull<u8>, Layout)| {
        let shift = pointer.addr().get().trailing_zeros();
        (pointer, layout(old.size(), 2 << shift))
    };
    let (small, half) = (slot.1, S::LARGE / 2);
    let table = [
        (
            "a slot that was freed",
            freed_slot,
            Fault::DoubleFree,
            UnlessTrusted,
        ),
        (
            "a slot whose page is free",
            alone,
            Fault::DoubleFree,
            UnlessTrusted,
        ),
        (
            "a large object that was freed",
            freed_large,
            Fault::DoubleFree,
            Always,
        ),
        (
            "a freed slot as a large object",
            sized(freed_slot, S::LARGE),
            Fault::DoubleFree,
            Always,
        ),
        (
            "the second byte of a slot",
            above(slot, 1),
            Fault::InteriorPointer,
            UnlessTrusted,
        ),
        (
            "the second word of a slot",
            above(slot, 8),
            Fault::InteriorPointer,
            UnlessTrusted,
        ),
        (
            "the middle of a slot",
            above(slot, 32),
            Fault::InteriorPointer,
            UnlessTrusted,
        ),
        (
            "the last byte of a slot",
            above(slot, 63),
            Fault::InteriorPointer,
            UnlessTrusted,
        ),
        (
            "the second byte of a large object",
            above(large, 1),
            Fault::InteriorPointer,
            Always,
        ),
        (
            "a later page of a large object",
            above(large, 4096),
            Fault::InteriorPointer,
            Always,
        ),
        (
            "the last byte of a large object",
            above(large, S::LARGE - 1),
            Fault::InteriorPointer,
            Always,
        ),
        (
            "the inside of a large object as a slot",
            (above(large, 64).0, small),
            Fault::InteriorPointer,
            Always,
        ),
        (
            "memory of nobody's",
            (NonNull::from(&FOREIGN).cast(), small),
            Fault::ForeignPointer,
            Always,
        ),
        (
            "the number 1",
            (number(1), small),
            Fault::ForeignPointer,
            Always,
        ),
        (
            "the number 4096",
            (number(4096), small),
            Fault::ForeignPointer,
            Always,
        ),
        (
            "the highest number",
            (number(usize::MAX), small),
            Fault::ForeignPointer,
            Always,
        ),
        (
            "the middle of all numbers",
            (number(usize::MAX / 2 + 1), small),
            Fault::ForeignPointer,
            Always,
        ),
        (
            "metadata",
            (subject.metadata(), small),
            Fault::ForeignPointer,
            Always,
        ),
        (
            "metadata as a large object",
            (subject.metadata(), large.1),
            Fault::ForeignPointer,
            Always,
        ),
        (
            "a slot with a longer layout",
            sized(slot, 200),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a slot with a shorter layout",
            sized(slot, 24),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a slot as one byte",
            sized(slot, 1),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a slot as a large object",
            sized(slot, S::LARGE),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a slot of too great an alignment",
            too_aligned(slot),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a large object as a slot",
            sized(large, 64),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a large object with a shorter layout",
            sized(large, half),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a large object with a longer layout",
            sized(large, 2 * S::LARGE),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a large object of too great an alignment",
            too_aligned(large),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a slot of as many bytes as can be",
            sized(slot, usize::MAX / 2 - 7),
            Fault::WrongLayout,
            Always,
        ),
        (
            "a large object of as many bytes",
            sized(large, usize::MAX / 2 - 7),
            Fault::WrongLayout,
            Always,
        ),
    ];
    let table = table
        .into_iter()
        .map(|(name, (pointer, layout), fault, reported)| Case {
            name,
            pointer,
            layout,
            fault,
            reported,
        });
    let objects = Objects {
        slot,
        neighbour,
        large,
    };
    (objects, table.collect())
}
