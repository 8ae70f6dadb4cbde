//! The content of a page cache, for comparisons with recorded ones.

use super::cache::PageCache;

/// The pages of a page cache, all of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheImage {
    /// The first page of the block.
    pub base: usize,
    /// The pages that the cache holds: bit `i` is page `base + i`.
    pub free: u64,
    /// The pages in `free` that have no memory.
    pub scavenged: u64,
}

impl PageCache {
    /// The pages that are left.
    pub(crate) const fn image(&self) -> CacheImage {
        CacheImage {
            base: self.base.0,
            free: self.free,
            scavenged: self.scavenged,
        }
    }
}
