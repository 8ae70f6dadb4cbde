//! Slots of CPUs, which lead a heap to what it has for the CPU.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A slot of a CPU: a kernel that keeps one for each CPU spares requests the search for what the
/// heap has for it ([`Kernel::with_cpu_slot`](crate::Kernel::with_cpu_slot)).
///
/// The first heap that needs the slot keeps it for good. Other heaps find their way by the number
/// of the CPU, as all heaps do where there are no slots.
///
/// ```
/// use archipelago_api::CpuSlot;
///
/// static SLOTS: [CpuSlot; 8] = [const { CpuSlot::new() }; 8];
/// ```
#[derive(Debug)]
pub struct CpuSlot {
    /// The key of the heap whose slot this is, or one of the two below.
    key: AtomicUsize,
    block: AtomicPtr<u8>,
}

/// A number that no other heap has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapKey(usize);

/// The key of a slot of no heap.
const FREE: usize = usize::MAX;
/// The key of a slot that a heap is making its own.
#[cfg(target_has_atomic = "ptr")]
const TAKEN: usize = usize::MAX - 1;

impl HeapKey {
    /// The key of a heap that has nothing for any CPU.
    pub const NONE: Self = Self(0);

    /// A key that no other heap has, unless there were 2^30 heaps since.
    #[must_use]
    pub fn next() -> Self {
        #[cfg(target_has_atomic = "ptr")]
        {
            static NEXT: AtomicUsize = AtomicUsize::new(1);
            // Odd, and below half of all numbers: none of those with a meaning.
            Self(NEXT.fetch_add(2, Ordering::Relaxed) & (FREE >> 1))
        }
        #[cfg(not(target_has_atomic = "ptr"))]
        Self::NONE
    }

    /// The key with this number, of [`number`](Self::number).
    #[must_use]
    #[inline(always)]
    pub const fn numbered(number: usize) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> usize {
        self.0
    }
}

impl CpuSlot {
    /// A slot of no heap.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            key: AtomicUsize::new(FREE),
            block: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The block that the heap with this key has put there, if the slot is that heap's.
    #[must_use]
    #[inline(always)]
    pub fn get(&self, key: HeapKey) -> Option<NonNull<u8>> {
        if self.key.load(Ordering::Acquire) != key.0 {
            return None;
        }
        let block = self.block.load(Ordering::Relaxed);
        // SAFETY: a slot of a heap has been given a block before it got the heap's key.
        Some(unsafe { NonNull::new_unchecked(block) })
    }

    /// Whether the slot is no heap's yet.
    #[must_use]
    #[inline]
    pub fn is_free(&self) -> bool {
        self.key.load(Ordering::Relaxed) == FREE
    }

    /// Makes the slot that of the heap with this key, unless it is a heap's: for heaps alone.
    ///
    /// # Safety
    /// The heap with this key may use what is at `block` as its own for this CPU.
    pub unsafe fn claim(&self, key: HeapKey, block: NonNull<u8>) {
        #[cfg(target_has_atomic = "ptr")]
        {
            let claimed =
                self.key
                    .compare_exchange(FREE, TAKEN, Ordering::Relaxed, Ordering::Relaxed);
            if claimed.is_ok() {
                self.block.store(block.as_ptr(), Ordering::Relaxed);
                self.key.store(key.0, Ordering::Release);
            }
        }
        #[cfg(not(target_has_atomic = "ptr"))]
        let _ = (key, block);
    }
}

impl Default for CpuSlot {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_that_of_the_first_heap() {
        let slot = CpuSlot::new();
        let [first, second] = [HeapKey::next(), HeapKey::next()];
        assert_ne!(first, second);
        let mut blocks = [1, 2];
        let [one, two] = blocks.each_mut().map(NonNull::from);
        assert!(slot.is_free());
        assert_eq!([slot.get(first), slot.get(HeapKey::NONE)], [None, None]);
        // SAFETY: nobody looks at the block.
        unsafe { slot.claim(first, one) };
        assert!(!slot.is_free());
        // SAFETY: as above.
        unsafe { slot.claim(second, two) };
        assert_eq!([slot.get(first), slot.get(second)], [Some(one), None]);
    }
}
