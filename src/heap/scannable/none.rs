//! Without a heap bitmap: no object is scannable.
//!
//! Every function is in line, so that a heap without a bitmap has no symbol of it.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{Kernel, Machine};

use crate::arena::SpanHandle;
use crate::base::PageRun;
use crate::heap::lookup::Object;
use crate::heap::object_heap::Heap;
use crate::pageheap::Online;
use crate::span::{Scan, SpanClass};

impl<M: Machine, K: Kernel> Heap<M, K> {
    #[inline(always)]
    pub(in crate::heap) fn place_bits(&self, _: &Online<M>, _: SpanClass, _: SpanHandle) {}

    #[inline(always)]
    pub(in crate::heap) unsafe fn clear_slot(&self, _: &Online<M>, _: &Object<'_>) {}

    #[inline(always)]
    pub(in crate::heap) unsafe fn claim_large(
        &self,
        _: &Online<M>,
        _: NonNull<u8>,
        _: Layout,
    ) -> Option<Object<'_>> {
        None
    }

    #[inline(always)]
    pub(in crate::heap) unsafe fn clear_run(&self, _: Scan, _: PageRun) {}
}

#[inline(always)]
pub(in crate::heap) unsafe fn cut_bits<M: Machine, K: Kernel>(
    _: &Heap<M, K>,
    _: Scan,
    _: NonNull<[u8]>,
    _: usize,
) {
}

/// The description of an object that has changed its size: there is none.
#[derive(Clone, Copy, Debug)]
pub(in crate::heap) struct NewBits;

impl NewBits {
    pub(in crate::heap) const KEPT: Self = Self;

    #[inline(always)]
    pub(in crate::heap) const fn are_kept(self) -> bool {
        true
    }

    #[inline(always)]
    pub(in crate::heap) const fn allow(self, _: Scan) -> bool {
        true
    }
}
