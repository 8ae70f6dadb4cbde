//! The way to the blocks of CPUs.

use core::ptr::{self, NonNull};

use archipelago_api::HeapKey;

use super::block::CpuBlock;
use crate::base::sparse;
use crate::base::sync::{AtomicPtr, CoreUsize as AtomicUsize, Ordering};

/// The blocks of a heap's CPUs.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// The block of the kernel's one CPU; that of nobody before it is made. Or the places of the
    /// blocks of its CPUs; null before they are made.
    pub(crate) first: AtomicPtr<u8>,
    /// The number of the heap's key to slots of CPUs, or that of no key before there are blocks.
    key: AtomicUsize,
}

/// The place of a CPU's block in the table of blocks; null before it is made.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct BlockPlace(AtomicPtr<CpuBlock>);

// SAFETY: null is a pointer; it is shared through an atomic, and needs no drop.
unsafe impl sparse::Entry for BlockPlace {}

impl BlockPlace {
    /// The block, if it was made.
    #[inline(always)]
    pub(crate) fn block(&self) -> Option<NonNull<CpuBlock>> {
        NonNull::new(self.0.load(Ordering::Acquire))
    }

    /// Publishes the block.
    pub(crate) fn publish(&self, block: &'static CpuBlock) {
        let block = ptr::from_ref(block).cast_mut();
        self.0.store(block, Ordering::Release);
    }
}

impl Blocks {
    /// No blocks yet, for one CPU that is to own spans, or for others.
    pub(crate) const fn new(is_for_one: bool) -> Self {
        let first = if is_for_one {
            CpuBlock::nobodys().cast().as_ptr()
        } else {
            ptr::null_mut()
        };
        Self {
            first: AtomicPtr::new(first),
            key: AtomicUsize::new(HeapKey::NONE.number()),
        }
    }

    /// The heap's key to slots of CPUs.
    #[inline(always)]
    pub(crate) fn key(&self) -> HeapKey {
        HeapKey::numbered(self.key.load(Ordering::Relaxed))
    }

    /// Sets the heap's key, once.
    pub(crate) fn set_key(&self, key: HeapKey) {
        self.key.store(key.number(), Ordering::Relaxed);
    }
}
