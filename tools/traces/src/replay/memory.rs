//! Slices of a block's memory; no other file makes them.

use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

/// Borrows the `bytes` bytes at `pointer` to write them.
///
/// # Safety
///
/// The bytes are of one live block of a target, and no other code uses them while the borrow lives.
pub(super) unsafe fn writable<'a>(pointer: NonNull<u8>, bytes: usize) -> &'a mut [MaybeUninit<u8>] {
    let pointer = pointer.as_ptr().cast::<MaybeUninit<u8>>();
    // SAFETY: the caller promises a block that can be written and is not aliased; a `Layout` allows
    // no block larger than a slice may be, and a `MaybeUninit` need not be initialised.
    unsafe { slice::from_raw_parts_mut(pointer, bytes) }
}

/// Borrows the `bytes` bytes at `pointer` to read them.
///
/// # Safety
///
/// The bytes are of one live block of a target, initialised, and no other code writes them while
/// the borrow lives.
pub(super) unsafe fn readable<'a>(pointer: NonNull<u8>, bytes: usize) -> &'a [u8] {
    // SAFETY: the caller promises a block that can be read and is initialised; a `Layout` allows no
    // block larger than a slice may be.
    unsafe { slice::from_raw_parts(pointer.as_ptr(), bytes) }
}
