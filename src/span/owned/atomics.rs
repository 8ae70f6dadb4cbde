//! Read-modify-write operations, which cores without compare-and-swap lack: there no CPU owns
//! spans, and none of these is called.

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicUsize, Ordering};

/// Whether the operations are there.
pub(crate) const ARE_THERE: bool = cfg!(target_has_atomic = "ptr");

macro_rules! operation {
    ($(#[$doc:meta])* $name:ident, $atomic:ty, $value:ty, $method:ident) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name(atomic: &$atomic, value: $value, order: Ordering) -> $value {
            #[cfg(target_has_atomic = "ptr")]
            return atomic.$method(value, order);
            #[cfg(not(target_has_atomic = "ptr"))]
            {
                let _ = (value, order);
                atomic.load(Ordering::Relaxed)
            }
        }
    };
}

operation!(
    /// Changes a flag, and returns what it was.
    swap_flag, AtomicBool, bool, swap
);
operation!(
    /// Changes a number, and returns what it was.
    swap_number, AtomicU32, u32, swap
);
operation!(
    /// Changes a mask, and returns what it was.
    swap_mask, AtomicU16, u16, swap
);
operation!(
    /// Changes a word, and returns what it was.
    swap_word, AtomicUsize, usize, swap
);
operation!(
    /// Sets bits of a word, and returns what it was.
    set_in_word, AtomicUsize, usize, fetch_or
);
operation!(
    /// Sets bits of a mask, and returns what it was.
    set_in_mask, AtomicU16, u16, fetch_or
);
operation!(
    /// Sets bits of a number, and returns what it was.
    set_in_number, AtomicU32, u32, fetch_or
);
operation!(
    /// Clears all other bits of a number, and returns what it was.
    keep_in_number, AtomicU32, u32, fetch_and
);

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
