//! Layer 3: address space and its states.
//!
//! The layer owns the machine's six transitions ([`Space`]), the account of every byte
//! ([`Ledger`]), the windows ([`windows`]) and metadata memory ([`metadata`]). It hands up tokens
//! of ranges ([`token`]), memory that is Ready and charged, and the cause when there is none.
//! Nothing here takes a heap lock, and the machine is called from here alone.

mod calls;
mod cause;
mod ledger;
pub(crate) mod metadata;
mod need;
pub(crate) mod ranges;
mod source;
mod space;
#[cfg(test)]
mod tests;
pub(crate) mod token;
mod undo;
pub(crate) mod windows;

pub use cause::Cause;
pub(crate) use ledger::Ledger;
pub use ledger::Purpose;
pub(crate) use need::{Need, Trial};
pub(crate) use source::{LINE_BYTES, Source};
pub(crate) use space::Space;
pub(crate) use undo::PendingUndo;
#[cfg(test)]
pub(crate) use undo::Undo;
pub(crate) use windows::Windows;
