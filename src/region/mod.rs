//! Layer 3: address space and its states.
//!
//! The layer owns the machine's six transitions ([`Space`]), the account of every byte
//! ([`Ledger`]), the windows ([`windows`]) and metadata memory ([`metadata`]). It hands up tokens
//! of ranges ([`token`]), memory that is Ready and charged, and the cause when there is none.
//! Nothing here takes a heap lock, and the machine is called from here alone.

#[cfg(feature = "heap-bits")]
mod bitmap;
mod cause;
mod ledger;
pub(crate) mod metadata;
#[cfg(not(feature = "heap-bits"))]
mod no_bitmap;
pub(crate) mod ranges;
mod space;
pub(crate) mod token;
pub(crate) mod windows;

#[cfg(feature = "heap-bits")]
use bitmap::BitmapShare;
pub use cause::Cause;
pub(crate) use ledger::Ledger;
pub use ledger::Purpose;
#[cfg(not(feature = "heap-bits"))]
use no_bitmap::BitmapShare;
pub(crate) use space::Space;
pub(crate) use windows::Windows;

use crate::base::sparse::{Entry, Fresh};

/// Where tables take their memory from. The caller holds the growth gate and no heap lock.
pub(crate) trait Source {
    /// Memory for `count` entries of `T`, aligned to `align` bytes (a power of two, at least that
    /// of `T`), charged to `purpose`.
    ///
    /// # Errors
    /// Why the machine refused; memory that was committed on the way stays in stock, charged.
    fn take<T: Entry>(
        &mut self,
        purpose: Purpose,
        count: usize,
        align: usize,
    ) -> Result<Fresh<T>, Cause>;
}
