//! The part that tests of a machine write themselves: page tables as a CPU walks and caches them.

use alloc::collections::BTreeMap;
use core::fmt::Debug;

use archipelago_api::{PhysAddr, VirtAddr};

use crate::FrameMemory;

/// Every word of the tables that is not empty, by its indices from the root. Two equal pictures
/// translate every address alike.
pub type Picture = BTreeMap<Vec<usize>, u64>;

/// Page tables in physical memory, and the walk of a CPU over them.
pub trait Walked: Copy + Debug + Send + Sync + 'static {
    /// The CPU's caches.
    type Cached: Caches<Self>;

    /// The address of the first frame.
    const FIRST: u64;

    /// The contents of a frame that is handed out.
    const JUNK: u8;

    /// Empty tables over memory.
    fn over(memory: FrameMemory) -> Self;

    /// The memory.
    fn memory(&self) -> FrameMemory;

    /// The frame of the root, which is never handed out. `None` if the root lies elsewhere.
    fn root(&self) -> Option<PhysAddr> {
        None
    }

    /// Whether nothing is left in a cache that was written to `frame` where the machine reaches
    /// frames. Caches without aliases always count as written back.
    fn is_written_back(&self, frame: PhysAddr) -> bool {
        let _ = frame;
        true
    }

    /// The frame of the page at `addr`, if the heap can read and write it.
    fn ready(&self, addr: VirtAddr) -> Option<PhysAddr>;

    /// The contents of the tables.
    fn picture(&self) -> Picture;
}

/// Caches of a CPU that walks `P`.
pub trait Caches<P>: Default + Debug + Send + 'static {
    /// Whether `frame` is cached, as the frame of a page or as a table.
    fn holds(&self, frame: PhysAddr) -> bool;

    /// Translates a page by the caches, or by a walk. Entries on the way are cached.
    fn translate(&mut self, physical: &P, page: VirtAddr) -> Option<PhysAddr>;
}
