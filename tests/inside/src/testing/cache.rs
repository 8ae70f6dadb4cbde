//! A cache of pages like that of Go's runtime, for vectors that were recorded with one: pages of
//! one block, all taken at once and given out in runs.

use super::pages::Taken;

/// The pages that a cache holds, all of one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheImage {
    /// The first page of the block.
    pub base: usize,
    /// The pages that the cache holds: bit `i` is page `base + i`.
    pub free: u64,
    /// The pages in `free` that have no memory.
    pub scavenged: u64,
}

impl CacheImage {
    /// Pages of a block.
    pub(super) const PAGES: usize = 64;

    /// Takes the lowest run of `count` pages out of the cache; `None` if there is none, or `count`
    /// is zero.
    pub(super) fn alloc(&mut self, count: usize) -> Option<Taken> {
        let mask = u64::MAX >> Self::PAGES.checked_sub(count).filter(|_| count > 0)?;
        let is_free = |bit: &usize| self.free >> bit & mask == mask;
        let bit = (0..=Self::PAGES - count).find(is_free)?;
        let scavenged = (self.scavenged >> bit & mask).count_ones() as usize;
        self.free &= !(mask << bit);
        self.scavenged &= !(mask << bit);
        Some(Taken {
            page: self.base + bit,
            scavenged,
        })
    }
}
