//! A place for one value, which is made in it and then published.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

/// A place for a value. Machines are large, and stacks of kernels are not: the value is written
/// where it stays, and is nowhere moved by value before.
pub(super) struct InPlace<T> {
    /// Whether the value is there for everyone: it was initialised before, and is shared since.
    is_full: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: `get` shares the value, which is `Sync`, and `drop` drops it, which is `Send`; `place` is
// a pointer whose users answer for what they do.
unsafe impl<T: Send + Sync> Sync for InPlace<T> {}

impl<T> InPlace<T> {
    /// An empty place.
    pub(super) const fn new() -> Self {
        Self {
            is_full: AtomicBool::new(false),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, if there is one.
    #[inline(always)]
    pub(super) fn get(&self) -> Option<&T> {
        if !self.is_full.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the place is full, so nothing writes to it any more.
        let value = unsafe { &*self.value.get() };
        // SAFETY: who published the value had initialised it.
        Some(unsafe { value.assume_init_ref() })
    }

    /// The value.
    ///
    /// # Safety
    /// The value was published before something that the caller has seen.
    #[inline(always)]
    pub(super) unsafe fn get_at_once(&self) -> &T {
        // SAFETY: the place is full, so nothing writes to it any more.
        let value = unsafe { &*self.value.get() };
        // SAFETY: who published the value had initialised it.
        unsafe { value.assume_init_ref() }
    }

    /// The memory of the value, to be written and read by one thread alone until the value is
    /// published.
    pub(super) const fn place(&self) -> *mut T {
        self.value.get().cast()
    }

    /// Shares the value.
    ///
    /// # Safety
    /// - The value at [`place`](Self::place) is initialised.
    /// - Nothing writes to it any more.
    pub(super) unsafe fn publish(&self) {
        self.is_full.store(true, Ordering::Release);
    }
}

impl<T> Drop for InPlace<T> {
    fn drop(&mut self) {
        if *self.is_full.get_mut() {
            // SAFETY: the place is full and is dropped once.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

impl<T> fmt::Debug for InPlace<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InPlace")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::rc::Rc;

    #[test]
    fn a_value_is_there_once_it_is_published_and_is_dropped_with_its_place() {
        let value = Rc::new(7);
        let place = InPlace::<Rc<i32>>::new();
        // SAFETY: only this thread uses the place.
        unsafe { place.place().write(Rc::clone(&value)) };
        assert!(place.get().is_none(), "it may not be complete");
        // SAFETY:
        // - the value was written just now;
        // - nothing writes to it any more.
        unsafe { place.publish() };
        assert_eq!(place.get().map(|value| **value), Some(7));
        assert_eq!(Rc::strong_count(&value), 2);
        drop(place);
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn a_place_that_was_not_published_drops_nothing() {
        let value = Rc::new(7);
        let place = InPlace::<Rc<i32>>::new();
        // SAFETY: only this thread uses the place.
        unsafe { place.place().write(Rc::clone(&value)) };
        drop(place);
        assert_eq!(
            Rc::strong_count(&value),
            2,
            "it is its writer's to take back"
        );
    }
}
