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
pub(crate) type AtomicBool = Atomic<bool>;
pub(crate) type AtomicU8 = Atomic<u8>;
pub(crate) type AtomicU16 = Atomic<u16>;
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

impl Value for u16 {
    fn to_usize(self) -> usize {
        self.into()
    }

    fn of_usize(value: usize) -> Self {
        value.try_into().unwrap_or(Self::MAX)
    }
}

impl Value for u8 {
    fn to_usize(self) -> usize {
        self.into()
    }

    fn of_usize(value: usize) -> Self {
        value.try_into().unwrap_or(Self::MAX)
    }
}

impl Value for bool {
    fn to_usize(self) -> usize {
        self.into()
    }

    fn of_usize(value: usize) -> Self {
        value != 0
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

/// A fence; none at all where it is planted.
#[track_caller]
pub(crate) fn fence(order: Ordering) {
    match planted::order(order, Location::caller()) {
        Ordering::Relaxed => {}
        order => loom::sync::atomic::fence(order),
    }
}

/// The words of the first level of an arena index.
pub(crate) fn words_of<R: IndexRoot>(root: &R) -> &[AtomicPtr<u8>] {
    let words = root.words();
    // SAFETY: `from_raw_parts` needs as many valid words: those of the root are numbers in
    // `UnsafeCell`s of the size and the alignment of these, and the root is accessed here alone.
    unsafe { slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

/// # Safety
/// Nobody writes the number meanwhile.
pub(crate) unsafe fn read_alone(number: &CoreUsize) -> usize {
    number.load(Ordering::Relaxed)
}

/// # Safety
/// Nobody else reads or writes the number meanwhile.
pub(crate) unsafe fn add_alone(number: &AtomicU16, more: u16) -> u16 {
    let sum = number.load(Ordering::Relaxed).wrapping_add(more);
    number.store(sum, Ordering::Relaxed);
    sum
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

/// The order of the load of an operation that has `order`.
const fn loads(order: Ordering) -> Ordering {
    match order {
        Ordering::Relaxed | Ordering::Release => Ordering::Relaxed,
        _ => Ordering::Acquire,
    }
}

/// Operations that read and write at once.
///
/// Of all loads of an atomic, loom remembers the last one alone, and after a load of its own a
/// thread would not be tried before those of others. So each operation first comes by the atomic's
/// gate, which is another atomic that orders nothing.
///
/// Loom makes these operations one after the other, so that each reads what the one before wrote.
/// The memory model allows more: an operation may come before others that were made earlier, unless
/// these are ordered before it. One that would have changed nothing then is no more than a load.
impl<N: Value> Atomic<N> {
    /// Exchanges the number.
    #[track_caller]
    pub(crate) fn swap(&self, value: N, order: Ordering) -> N {
        let place = Location::caller();
        let Some(modelled) = memory::at(self.0.get().addr(), place) else {
            return self.exchange(|_| value);
        };
        let order = planted::order(order, place);
        modelled.pass_gate();
        if value.to_usize() == 0 && modelled.load(loads(order)) == 0 {
            return value;
        }
        N::of_usize(modelled.swap(value.to_usize(), order))
    }

    /// Sets bits.
    #[track_caller]
    pub(crate) fn fetch_or(&self, value: N, order: Ordering) -> N {
        let place = Location::caller();
        match memory::at(self.0.get().addr(), place) {
            Some(modelled) => {
                modelled.pass_gate();
                N::of_usize(modelled.fetch_or(value.to_usize(), planted::order(order, place)))
            }
            None => self.exchange(|before| N::of_usize(before.to_usize() | value.to_usize())),
        }
    }

    /// Clears all other bits.
    #[track_caller]
    pub(crate) fn fetch_and(&self, value: N, order: Ordering) -> N {
        let place = Location::caller();
        let Some(modelled) = memory::at(self.0.get().addr(), place) else {
            return self.exchange(|before| N::of_usize(before.to_usize() & value.to_usize()));
        };
        let order = planted::order(order, place);
        modelled.pass_gate();
        let earlier = modelled.load(loads(order));
        if earlier & !value.to_usize() == 0 {
            return N::of_usize(earlier);
        }
        N::of_usize(modelled.fetch_and(value.to_usize(), order))
    }

    /// Replaces a number that is still as it was.
    #[track_caller]
    pub(crate) fn compare_exchange_weak(
        &self,
        before: N,
        after: N,
        order: Ordering,
        failed: Ordering,
    ) -> Result<N, N> {
        let place = Location::caller();
        let Some(modelled) = memory::at(self.0.get().addr(), place) else {
            unreachable!("what is replaced is the model's");
        };
        let (before, after) = (before.to_usize(), after.to_usize());
        let (order, failed) = (planted::order(order, place), planted::order(failed, place));
        modelled.pass_gate();
        let replaced = modelled.compare_exchange(before, after, order, failed);
        replaced.map(N::of_usize).map_err(N::of_usize)
    }

    /// Replaces a number that is still as it was.
    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        before: N,
        after: N,
        order: Ordering,
        failed: Ordering,
    ) -> Result<N, N> {
        self.compare_exchange_weak(before, after, order, failed)
    }

    /// Changes a number outside of the model.
    fn exchange(&self, change: impl FnOnce(N) -> N) -> N {
        // SAFETY: `get` points to the number, and no access to it is interrupted.
        let before = unsafe { *self.0.get() };
        // SAFETY: as above.
        unsafe { *self.0.get() = change(before) };
        before
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
