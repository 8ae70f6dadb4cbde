//! Read-modify-write operations, which cores without compare-and-swap lack: there no CPU owns
//! spans, and none of these is called.

use crate::base::sync::{AtomicU8, AtomicU16, AtomicU32, CoreUsize as AtomicUsize, Ordering};

/// Whether the operations are there.
pub(crate) const ARE_THERE: bool = cfg!(target_has_atomic = "ptr");

/// Changes a flag, and returns what it was.
#[inline(always)]
pub(super) fn swap_flag(atomic: &AtomicU8, value: u8, order: Ordering) -> u8 {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.swap(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (value, order);
        atomic.load(Ordering::Relaxed)
    }
}

/// Changes a flag that is still `before`, and orders nothing; `false` if it is not.
#[inline(always)]
pub(super) fn replace_flag(atomic: &AtomicU8, before: u8, after: u8) -> bool {
    #[cfg(target_has_atomic = "ptr")]
    return atomic
        .compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok();
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (atomic, before, after);
        false
    }
}

/// Changes a number, and returns what it was.
#[inline(always)]
pub(super) fn swap_number(atomic: &AtomicU32, value: u32, order: Ordering) -> u32 {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.swap(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (value, order);
        atomic.load(Ordering::Relaxed)
    }
}

/// Changes a mask, and returns what it was.
#[inline(always)]
pub(super) fn swap_mask(atomic: &AtomicU16, value: u16, order: Ordering) -> u16 {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.swap(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (value, order);
        atomic.load(Ordering::Relaxed)
    }
}

/// Clears all other bits of a word, and returns what it was.
#[inline(always)]
pub(super) fn keep_in_word(atomic: &AtomicUsize, value: usize, order: Ordering) -> usize {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.fetch_and(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (value, order);
        atomic.load(Ordering::Relaxed)
    }
}

/// Empties a word, and returns what it was.
#[inline(always)]
pub(in super::super) fn take_word(atomic: &AtomicUsize) -> usize {
    keep_in_word(atomic, 0, Ordering::AcqRel)
}

/// Sets bits of a word, and returns what it was.
#[inline(always)]
pub(super) fn set_in_word(atomic: &AtomicUsize, value: usize, order: Ordering) -> usize {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.fetch_or(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (value, order);
        atomic.load(Ordering::Relaxed)
    }
}

/// Sets bits of a mask, and returns what it was.
#[inline(always)]
pub(super) fn set_in_mask(atomic: &AtomicU16, value: u16, order: Ordering) -> u16 {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.fetch_or(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (value, order);
        atomic.load(Ordering::Relaxed)
    }
}

/// Sets bits of a number, and returns what it was.
#[inline(always)]
pub(super) fn set_in_number(atomic: &AtomicU32, value: u32, order: Ordering) -> u32 {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.fetch_or(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (value, order);
        atomic.load(Ordering::Relaxed)
    }
}

/// Clears all other bits of a number.
#[inline(always)]
pub(super) fn keep_in_number(atomic: &AtomicU32, value: u32, order: Ordering) {
    #[cfg(target_has_atomic = "ptr")]
    atomic.fetch_and(value, order);
    #[cfg(not(target_has_atomic = "ptr"))]
    let _ = (atomic, value, order);
}

/// Changes a number that is still `before`.
///
/// # Errors
/// What it is now.
#[inline(always)]
pub(super) fn replace(atomic: &AtomicU32, before: u32, after: u32) -> Result<u32, u32> {
    #[cfg(target_has_atomic = "ptr")]
    return atomic.compare_exchange_weak(before, after, Ordering::Release, Ordering::Relaxed);
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        let _ = (atomic, after);
        Ok(before)
    }
}
