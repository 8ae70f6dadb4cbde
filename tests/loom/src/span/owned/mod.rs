//! Spans that a CPU owns, and models of what others do with them.

#[path = "../../../../../src/span/owned/atomics.rs"]
mod atomics;
#[path = "../../../../../src/span/owned/block.rs"]
mod block;
#[path = "../../../../../src/span/owned/credit.rs"]
mod credit;
#[path = "../../../../../src/span/owned/emptied.rs"]
mod emptied;
#[path = "../../../../../src/span/owned/entry.rs"]
mod entry;
#[path = "../../../../../src/span/owned/frees.rs"]
mod frees;
#[path = "../../../../../src/span/owned/kept.rs"]
mod kept;
#[path = "../../../../../src/span/owned/map.rs"]
mod map;
#[path = "../../../../../src/span/owned/notices.rs"]
mod notices;
#[path = "../../../../../src/span/owned/outside.rs"]
mod outside;
#[path = "../../../../../src/span/owned/places.rs"]
mod places;
#[path = "../../../../../src/span/owned/queue.rs"]
mod queue;
#[path = "../../../../../src/span/owned/remote.rs"]
mod remote;
#[path = "../../../../../src/span/owned/state.rs"]
mod state;
#[path = "../../../../../src/span/owned/table.rs"]
mod table;
#[path = "../../../../../src/span/owned/tag.rs"]
mod tag;

pub mod hand_over;
pub mod remote_frees;
mod stage;
pub mod visits;

pub(super) use atomics::take_word;
pub(crate) use block::{CpuBlock, Emptied, Entered};
pub(super) use places::remote_words;
pub(crate) use places::{Place, Places};
pub(crate) use remote::{Marked, RemoteFree};
pub(crate) use table::Blocks;
pub(crate) use tag::{Owner, Tag};
