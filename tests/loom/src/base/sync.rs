//! The facade of atomics, with those of the model.
//!
//! All zeroes are a valid atomic, and a constructor makes no more than the number: see
//! [`memory`].

use core::cell::UnsafeCell;
use core::panic::Location;
use core::ptr;
use core::slice;
pub(crate) use core::sync::atomic::Ordering;

use archipelago_api::IndexRoot;

use crate::{memory, planted};

/// A number of type `N`, which loom knows by its address.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Atomic<N>(UnsafeCell<N>);

// SAFETY: the threads of a model run on one thread of the host, and take turns in loom alone, which
// is not called while the number is accessed.
unsafe impl<N> Sync for Atomic<N> {}
// SAFETY: any thread of the model may use a number, as above.
unsafe impl<N> Send for Atomic<N> {}

/// The names of `core`, and that of the facade for `core`'s own.
pub(crate) type AtomicU32 = Atomic<u32>;
pub(crate) type AtomicUsize = Atomic<usize>;
pub(crate) type CoreUsize = Atomic<usize>;
pub(crate) type AtomicPtr<T> = Atomic<*mut T>;

/// A value that fits one of loom's atomics.
pub(crate) trait Value: Copy {
    fn to_usize(self) -> usize;
    fn of_usize(value: usize) -> Self;
}

impl Value for usize {
    fn to_usize(self) -> usize {
        self
    }

    fn of_usize(value: usize) -> Self {
        value
    }
}

impl Value for u32 {
    fn to_usize(self) -> usize {
        self.try_into().unwrap_or(usize::MAX)
    }

    fn of_usize(value: usize) -> Self {
        value.try_into().unwrap_or(Self::MAX)
    }
}

impl<T> Value for *mut T {
    fn to_usize(self) -> usize {
        self.expose_provenance()
    }

    fn of_usize(value: usize) -> Self {
        ptr::with_exposed_provenance_mut(value)
    }
}

/// The words of the first level of an arena index.
pub(crate) fn words_of<R: IndexRoot>(root: &R) -> &[AtomicPtr<u8>] {
    let words = root.words();
    // SAFETY: `from_raw_parts` needs as many valid words: those of the root are numbers in
    // `UnsafeCell`s of the size and the alignment of these, and the root is accessed here alone.
    unsafe { slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

impl<N> Atomic<N> {
    pub(crate) const fn new(value: N) -> Self {
        Self(UnsafeCell::new(value))
    }
}

impl<N: Value> Atomic<N> {
    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> N {
        let place = Location::caller();
        match memory::at(self.0.get().addr(), place) {
            Some(modelled) => N::of_usize(modelled.load(planted::order(order, place))),
            // SAFETY: `get` points to the number, and no access to it is interrupted.
            None => unsafe { *self.0.get() },
        }
    }

    #[track_caller]
    pub(crate) fn store(&self, value: N, order: Ordering) {
        let place = Location::caller();
        match memory::at(self.0.get().addr(), place) {
            Some(modelled) => modelled.store(value.to_usize(), planted::order(order, place)),
            // SAFETY: `get` points to the number, and no access to it is interrupted.
            None => unsafe { *self.0.get() = value },
        }
    }
}

impl Atomic<usize> {
    #[track_caller]
    pub(crate) fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        self.update(|before| before.wrapping_add(value), order)
    }

    #[track_caller]
    pub(crate) fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        self.update(|before| before.wrapping_sub(value), order)
    }

    /// Counters of the account alone are updated so, which are outside of the model.
    #[track_caller]
    fn update(&self, change: impl FnOnce(usize) -> usize, order: Ordering) -> usize {
        let before = self.load(order);
        self.store(change(before), order);
        before
    }
}
