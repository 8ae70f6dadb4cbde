//! Tests of the heap bitmap, with words of 4 and of 8 bytes whatever the host's are.

mod contention;
mod cursor;
mod edges;
mod faults;
mod fixture;
mod long;
mod maps;
mod neighbours;
mod oracle;
mod scan;
mod write;

/// The step through many similar cases: 1, or under Miri `miri`.
const fn every(miri: usize) -> usize {
    if cfg!(miri) { miri } else { 1 }
}
