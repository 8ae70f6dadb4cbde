//! Release builds: no heap has a number, and nothing is noted.

use archipelago_api::Kernel;

/// The empty twin of the number of a heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeapNumber;

/// The empty twin of the heap that a part belongs to.
#[derive(Debug)]
pub(crate) struct Membership;

/// The empty twin of the locks of a heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldLocks;

impl Membership {
    #[inline(always)]
    pub(crate) const fn none() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn join(&self, _: HeapNumber) {}

    #[inline(always)]
    pub(crate) fn heap(&self) -> HeapNumber {
        HeapNumber
    }

    #[inline(always)]
    pub(crate) fn heap_or_new(&self) -> HeapNumber {
        HeapNumber
    }
}

impl HeapNumber {
    #[inline(always)]
    pub(crate) fn enter<K: Kernel>(self, _: u8) {}

    #[inline(always)]
    pub(crate) fn leave<K: Kernel>(self, _: u8) {}

    #[inline(always)]
    #[expect(
        clippy::extra_unused_type_parameters,
        reason = "the twin asks the kernel for the CPU"
    )]
    pub(crate) fn held_locks<K: Kernel>(self) -> HeldLocks {
        HeldLocks
    }
}

impl HeldLocks {
    #[inline(always)]
    pub(crate) fn are_any_known(self) -> bool {
        false
    }
}
