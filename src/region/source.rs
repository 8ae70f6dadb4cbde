//! The source of memory for tables.

use super::cause::Cause;
use super::ledger::Purpose;
use crate::base::sparse::{Entry, Zeroed};

/// The smallest piece and the smallest alignment of metadata memory, in bytes: a cache line.
pub(crate) const LINE_BYTES: usize = 64;

/// A source of memory for tables. The caller holds the growth gate and no heap lock.
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
    ) -> Result<Zeroed<T>, Cause>;
}
