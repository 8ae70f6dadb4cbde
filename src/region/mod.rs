//! Layer 2: address space and its states.
//!
//! It owns the machine's six transitions ([`Space`]), the account of every byte ([`Ledger`]),
//! sorted ranges of address space ([`ranges`]), and metadata memory ([`metadata`]). It hands up
//! memory that is Ready and charged, and the cause when there is none. Nothing here takes a heap
//! lock; the machine is called from here alone.

mod cause;
mod ledger;
pub(crate) mod metadata;
pub(crate) mod ranges;
mod space;

pub use cause::Cause;
pub(crate) use ledger::Ledger;
pub use ledger::Purpose;
pub(crate) use space::{Leaving, Space};

use crate::base::sparse::{Entry, Fresh};

/// Where tables take their memory from. The caller holds the growth gate and no heap lock.
pub(crate) trait Source {
    /// Memory for `count` entries of `T`, aligned to `align` bytes (a power of two, at least that
    /// of `T`), charged to `purpose`.
    ///
    /// # Errors
    /// Why the machine refused; what was committed on the way stays in stock and is charged.
    fn take<T: Entry>(
        &mut self,
        purpose: Purpose,
        count: usize,
        align: usize,
    ) -> Result<Fresh<T>, Cause>;
}
