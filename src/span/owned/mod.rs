//! Spans that a CPU owns, and takes slots from without a lock.
//!
//! A span of a small class belongs to the central lists or to the **block** of a CPU
//! ([`CpuBlock`]). Only the owner takes its slots and gives them back, by plain loads and stores of
//! the record's live bits. Whoever else frees a slot sets its bit in the other half of the
//! record's bits, the **remote** bits, and posts a notice to the owner, who takes the slot back
//! when it reads the notice (`remote.rs`). Until then the slot is live.
//!
//! The **tag** of a record says who owns the span, and is all that a free compares.

mod atomics;
mod block;
mod credit;
mod emptied;
mod entry;
mod frees;
mod kept;
mod map;
mod notices;
mod outside;
mod places;
mod queue;
mod remote;
mod state;
mod table;
mod tag;
#[cfg(test)]
mod tests;

pub(crate) use atomics::ARE_THERE;
pub(super) use atomics::take_word;
pub(crate) use block::{CpuBlock, Emptied, Entered};
pub(crate) use frees::OwnFree;
pub(crate) use map::{MapEntry, MappedSpan, SpanMap};
pub(super) use places::remote_words;
pub(crate) use places::{Place, Places};
pub(crate) use remote::{Marked, RemoteFree};
pub(crate) use state::{full_is_counted, has_hidden_slots};
pub(crate) use table::{BlockPlace, Blocks};
pub(crate) use tag::{Owner, Tag};
