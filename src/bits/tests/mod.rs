//! Tests of the heap bitmap, with words of 4 and of 8 bytes whatever the host's are.

mod bed;
mod contention;
mod cursor;
mod edges;
mod faults;
mod long;
mod maps;
mod neighbours;
mod oracle;
mod scan;
mod write;

use crate::bits::seed::Sound;

/// Of many like cases, which are tried: all, or under Miri every so-manieth.
const fn every(miri: usize) -> usize {
    if cfg!(miri) { miri } else { 1 }
}
