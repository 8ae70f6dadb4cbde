//! The numbers of threads, each of which counts as a CPU: the lowest that no other thread has.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

use archipelago_api::{CpuId, CpuSlot};

/// How many threads have numbers of their own.
pub(crate) const COUNT: u16 = 256;

const BITS: usize = usize::BITS as usize;

/// Words of the bitmap of numbers.
const WORDS: usize = COUNT as usize / BITS;

/// For each number, whether a thread has it.
static TAKEN: [AtomicUsize; WORDS] = [const { AtomicUsize::new(0) }; WORDS];

/// The number of a thread that found none: threads beyond share it.
const BEYOND: CpuId = CpuId::SHARED;

thread_local! {
    /// The number of this thread, [`BEYOND`] before it was asked for. Without a destructor, so that
    /// an allocator may use it at any time.
    static OWN: Cell<CpuId> = const { Cell::new(BEYOND) };
    /// The slot of this thread: as it was when the thread got a number.
    static SLOT: CpuSlot = const { CpuSlot::new() };
    /// A byte whose address no other thread has.
    static PLACE: u8 = const { 0 };
}

/// The number of this thread.
pub(crate) fn current() -> CpuId {
    OWN.with(|own| {
        if own.get() == BEYOND {
            own.set(take());
        }
        own.get()
    })
}

/// The slot of this thread.
#[inline(always)]
pub(crate) fn with_slot<R>(work: impl FnOnce(&CpuSlot) -> R) -> R {
    SLOT.with(work)
}

/// A number that no other live thread has.
pub(crate) fn thread() -> usize {
    PLACE.with(|place| ptr::from_ref(place).addr())
}

/// Takes the lowest free number until this thread ends.
#[cold]
fn take() -> CpuId {
    let Some(key) = key() else {
        return BEYOND;
    };
    let Some((number, id)) = lowest_free() else {
        return BEYOND;
    };
    // The value only has to differ from null, and says what is to be given back.
    let value = ptr::without_provenance(number + 1);
    // SAFETY: the key was made, and is never deleted.
    if unsafe { libc::pthread_setspecific(key, value) } != 0 {
        give_back(number);
        return BEYOND;
    }
    id
}

/// Whether a thread has the number, which may end or begin meanwhile.
pub(crate) fn is_taken(number: CpuId) -> bool {
    let number = usize::from(number.0);
    let word = TAKEN.get(number / BITS);
    word.is_some_and(|word| word.load(Acquire) >> (number % BITS) & 1 != 0)
}

/// Takes the lowest number that is free.
fn lowest_free() -> Option<(usize, CpuId)> {
    for (index, word) in TAKEN.iter().enumerate() {
        let lowest = |taken: usize| (taken != usize::MAX).then(|| taken | (taken + 1));
        if let Ok(before) = word.fetch_update(AcqRel, Relaxed, lowest) {
            let number = index * BITS + before.trailing_ones() as usize;
            return Some((number, CpuId(u16::try_from(number).ok()?)));
        }
    }
    None
}

/// The number is free again.
fn give_back(number: usize) {
    TAKEN[number / BITS].fetch_and(!(1 << (number % BITS)), AcqRel);
}

/// Called by the system when a thread ends that has a number.
extern "C" fn ended(value: *mut c_void) {
    // Destructors that run after this one may allocate: the thread gets a number again, and the
    // system calls this again.
    OWN.set(BEYOND);
    give_back(value.addr() - 1);
}

/// The key by which the system calls [`ended`]; `None` if a process may have no more of them.
fn key() -> Option<libc::pthread_key_t> {
    /// The key plus 1, or 0 before it is made.
    static KEY: AtomicUsize = AtomicUsize::new(0);
    let known = |plus_1: usize| libc::pthread_key_t::try_from(plus_1.checked_sub(1)?).ok();
    if let Some(key) = known(KEY.load(Acquire)) {
        return Some(key);
    }
    let mut key = 0;
    // SAFETY: the key is written to a variable, and the destructor does nothing but store.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(ended)) } != 0 {
        return None;
    }
    let plus_1 = usize::try_from(key).ok()? + 1;
    match KEY.compare_exchange(0, plus_1, AcqRel, Acquire) {
        Ok(_) => Some(key),
        Err(other) => {
            // SAFETY: the key was made just now, and no thread has used it.
            let _ = unsafe { libc::pthread_key_delete(key) };
            known(other)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_live_at_once_have_different_numbers_and_leave_them_to_others() {
        const THREADS: usize = 40;
        let mut most = 0;
        for _ in 0..50 {
            let barrier = Barrier::new(THREADS);
            let mut numbers = thread::scope(|scope| {
                let one = || {
                    let own = (current(), thread());
                    barrier.wait();
                    assert_eq!(own, (current(), thread()));
                    own
                };
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
                let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
                let numbers: Vec<_> = threads.into_iter().map(join).collect();
                numbers
                    .into_iter()
                    .map(|own| own.expect("no panic"))
                    .collect::<Vec<_>>()
            });
            numbers.sort_by_key(|(cpu, _)| cpu.0);
            numbers.dedup_by_key(|(cpu, _)| cpu.0);
            assert_eq!(numbers.len(), THREADS, "two threads have one number");
            numbers.sort_by_key(|(_, thread)| *thread);
            numbers.dedup_by_key(|(_, thread)| *thread);
            assert_eq!(numbers.len(), THREADS, "two threads have one place");
            most = numbers
                .iter()
                .map(|(cpu, _)| cpu.0)
                .max()
                .unwrap_or(0)
                .max(most);
        }
        // The threads of a round may still end while those of the next begin, and other tests run.
        assert!(usize::from(most) < 6 * THREADS, "numbers are lost: {most}");
    }
}
