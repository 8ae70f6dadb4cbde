//! Debug builds: the locks of each CPU in a table.

use core::num::NonZeroU16;
use core::sync::atomic::AtomicU16;

use archipelago_api::Kernel;

use crate::base::sync::{AtomicUsize, Ordering};

/// The number of a heap; `None` before it is initialised, when its locks are not checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeapNumber(Option<NonZeroU16>);

/// The heap that a part belongs to.
#[derive(Debug)]
pub(crate) struct Membership {
    /// The number of the heap, or 0. It shares a word with the lock.
    number: AtomicU16,
}

/// The locks of a heap that the CPU holds which asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldLocks {
    heap: HeapNumber,
    are_any_known: fn(HeapNumber) -> bool,
}

impl HeldLocks {
    /// Whether it is known to hold any.
    pub(crate) fn are_any_known(self) -> bool {
        (self.are_any_known)(self.heap)
    }
}

/// Heaps that have got a number.
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Membership {
    /// A part of no heap yet.
    pub(crate) const fn none() -> Self {
        Self {
            number: AtomicU16::new(0),
        }
    }

    /// The part belongs to `heap` from now on.
    pub(crate) fn join(&self, heap: HeapNumber) {
        let number = heap.0.map_or(0, NonZeroU16::get);
        self.number.store(number, Ordering::Relaxed);
    }

    /// The number of the heap.
    pub(crate) fn heap(&self) -> HeapNumber {
        HeapNumber(NonZeroU16::new(self.number.load(Ordering::Relaxed)))
    }

    /// The number of the heap, which is new if it had none.
    pub(crate) fn heap_or_new(&self) -> HeapNumber {
        if self.heap().0.is_none() {
            // Numbers come round: two heaps of one number are checked as if they were one.
            let count = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = count % usize::from(u16::MAX) + 1;
            self.join(HeapNumber(
                u16::try_from(number).ok().and_then(NonZeroU16::new),
            ));
        }
        self.heap()
    }
}

impl HeapNumber {
    /// Notes that this CPU takes the heap's lock of `rank`. Interrupts are masked.
    ///
    /// # Panics
    /// If it holds one of the heap's locks whose rank is not lower.
    pub(crate) fn enter<K: Kernel>(self, rank: u8) {
        let Some((number, locks)) = self.here::<K>() else {
            return;
        };
        debug_assert!(
            !locks.any(|heap, held| heap == number && held >= rank.into()),
            "a lock of rank {rank} taken under one not below it; or Kernel::current_cpu gives two \
             CPUs one number"
        );
        locks.replace(NO_LOCK, lock(number, rank));
    }

    /// Notes that this CPU gives the heap's lock of `rank` back. Interrupts are masked.
    pub(crate) fn leave<K: Kernel>(self, rank: u8) {
        if let Some((number, locks)) = self.here::<K>() {
            locks.replace(lock(number, rank), NO_LOCK);
        }
    }

    /// The locks of the heap that the CPU holds which asks.
    pub(crate) fn held_locks<K: Kernel>(self) -> HeldLocks {
        HeldLocks {
            heap: self,
            are_any_known: Self::holds_any::<K>,
        }
    }

    fn holds_any<K: Kernel>(self) -> bool {
        // A thread that was moved to another CPU after it asked for its own would read the locks of
        // another thread.
        let interrupts = K::disable_interrupts();
        let any = self
            .here::<K>()
            .is_some_and(|(number, locks)| locks.any(|heap, _| heap == number));
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { K::restore_interrupts(interrupts) };
        any
    }

    /// The number, and the locks of this CPU; `None` where they are not checked.
    fn here<K: Kernel>(self) -> Option<(usize, &'static CpuLocks)> {
        let locks = HELD.get(usize::from(K::current_cpu().0))?;
        Some((self.0?.get().into(), locks))
    }
}

/// The locks that one CPU holds, each as [`lock`] writes it. Those of a CPU that holds more are not
/// checked.
struct CpuLocks([AtomicUsize; 8]);

/// CPUs whose locks are checked; those above are not.
const CHECKED_CPUS: usize = 64;
static HELD: [CpuLocks; CHECKED_CPUS] =
    [const { CpuLocks([const { AtomicUsize::new(NO_LOCK) }; 8]) }; CHECKED_CPUS];

/// The place for a lock is free.
const NO_LOCK: usize = 0;

/// More than there are ranks.
const RANKS: usize = 8;

/// A lock as a number that is not [`NO_LOCK`], since that of a heap is not 0.
fn lock(heap: usize, rank: u8) -> usize {
    heap * RANKS + usize::from(rank)
}

impl CpuLocks {
    /// Whether a lock is held, of a heap and with a rank, for which `of` is true.
    fn any(&self, of: impl Fn(usize, usize) -> bool) -> bool {
        self.0
            .iter()
            .map(|place| place.load(Ordering::Relaxed))
            .any(|lock| lock != NO_LOCK && of(lock / RANKS, lock % RANKS))
    }

    /// Replaces one `old` by `new`, if there is one.
    fn replace(&self, old: usize, new: usize) {
        let mut places = self.0.iter();
        if let Some(place) = places.find(|place| place.load(Ordering::Relaxed) == old) {
            place.store(new, Ordering::Relaxed);
        }
    }
}
