//! The page layer, with one more file, which fills it with a pattern.
#![forbid(unsafe_code)]

#[path = "../../../../src/page/aligned.rs"]
mod aligned;
#[path = "../../../../src/page/bits.rs"]
mod bits;
#[path = "../../../../src/page/find.rs"]
mod find;
#[path = "../../../../src/page/free_pages.rs"]
mod free_pages;
#[path = "../../../../src/page/marks.rs"]
mod marks;
#[path = "../../../../src/page/near.rs"]
mod near;
#[path = "../../../../src/page/pages.rs"]
mod pages;
mod pattern;
#[path = "../../../../src/page/state.rs"]
mod state;
#[path = "../../../../src/page/summary.rs"]
mod summary;
#[path = "../../../../src/page/survey.rs"]
mod survey;
#[path = "../../../../src/page/tree.rs"]
mod tree;
#[path = "../../../../src/page/verify.rs"]
mod verify;

pub(crate) use bits::{Bits, MAX_PAGES, WORD, Words};
pub(crate) use free_pages::{FreePages, Taken};
pub(crate) use state::State;
