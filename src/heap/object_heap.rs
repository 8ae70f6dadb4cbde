//! The heap: what it consists of.

use core::fmt;

use archipelago_api::{Kernel, Machine, VirtAddr};

use super::early::{Early, EarlyRegion};
use crate::base::lock::{RankedLock, rank};
use crate::pageheap::{Online, PageHeap};
use crate::span::{ARE_THERE, CLASSES, Central, ClassTable, Places, table};

/// A heap on the machine `M` in the kernel `K`, made for a `static`: it allocates nothing until it
/// is initialised.
///
/// It implements [`GlobalAlloc`](core::alloc::GlobalAlloc).
pub struct Heap<M: Machine, K: Kernel> {
    pub(crate) early: Early<K>,
    pub(crate) pages: PageHeap<M, K>,
    pub(crate) central: Central<K>,
    /// Fills the reserve. There is no function before the kernel asks for a reserve, so that a
    /// kernel without one links none of this.
    pub(super) refill: RankedLock<Refill<M, K>, K, { rank::EARLY }>,
}

/// Fills the reserve of a heap.
type Refill<M, K> = Option<fn(&Heap<M, K>, &Online<M>)>;

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Whether code and constants are as scarce as memory: where there is no MMU.
    pub(super) const SAVES_CODE: bool = !M::DECOMMITS;

    /// Whether there may be an early heap: not where memory is there from the start.
    pub(super) const MAY_BE_EARLY: bool = M::REFUSES;

    /// The size classes for this machine's page.
    pub(crate) const TABLE: &'static ClassTable = match table(M::GEOMETRY.page_shift) {
        Some(table) => {
            assert!(
                table.len() <= CLASSES as usize,
                "the central lists have a place for every class"
            );
            table
        }
        None => panic!("there are size classes for pages of 256 bytes to 8 KiB"),
    };

    /// Whether CPUs own spans: where code is not scarce, and the kernel has CPUs for it.
    pub(crate) const HAS_CPUS: bool = !Self::SAVES_CODE && ARE_THERE && K::CPUS > 0;

    /// The places of layouts in the block of a CPU.
    pub(super) const PLACES: &'static Places = &Places::new(Self::TABLE);

    /// A heap that is not initialised and has no early heap: it refuses every request until
    /// [`init`](Self::init).
    #[must_use]
    pub const fn new() -> Self {
        Self::build(Early::none())
    }

    /// A heap that serves requests from `region` until it is initialised.
    ///
    /// Blocks from the region stay there; freeing them later finds them, and reallocating them
    /// moves them to the heap. One that shrinks, and finds no memory there, stays.
    ///
    /// The compiler stops where the machine never refuses memory ([`Machine::REFUSES`]): it has its
    /// memory from the start, and so can the heap.
    #[must_use]
    pub const fn with_early<const BYTES: usize>(region: &'static EarlyRegion<BYTES>) -> Self {
        const {
            assert!(
                Self::MAY_BE_EARLY,
                "this machine has its memory from the start: initialise the heap, without an early \
                 region"
            );
        }
        Self::build(Early::new(region))
    }

    const fn build(early: Early<K>) -> Self {
        Self {
            early,
            pages: PageHeap::new(),
            central: Central::new(Self::HAS_CPUS && K::CPUS == 1),
            refill: RankedLock::new(None),
        }
    }

    /// The machine that `init` was given; `None` before that: for its pointers, addresses and
    /// [`footprint`](Machine::footprint), at any time.
    ///
    /// ```
    /// # use archipelago::{Heap, Machine};
    /// # use archipelago_sim::{Hosted, Plain32, Sim};
    /// fn table_frames(heap: &Heap<Sim<Plain32>, Hosted>) -> Option<usize> {
    ///     Some(heap.machine()?.footprint().table_frames)
    /// }
    /// # assert_eq!(table_frames(&Heap::new()), None);
    /// ```
    ///
    /// Its transitions are the heap's, which makes one at a time. They are unsafe, [`reserve`]
    /// among them, because nobody else can promise that the heap makes none meanwhile.
    ///
    /// ```compile_fail,E0133
    /// # use archipelago::{Heap, Machine, VirtRange};
    /// # use archipelago_api::Patience;
    /// # use archipelago_sim::{Hosted, Plain32, Sim};
    /// fn reserve(heap: &Heap<Sim<Plain32>, Hosted>, range: VirtRange) -> Option<()> {
    ///     heap.machine()?.reserve(range, Patience::Try).ok()
    /// }
    /// ```
    ///
    /// [`reserve`]: Machine::reserve
    #[must_use]
    pub fn machine(&self) -> Option<&M> {
        self.pages.online().map(|online| &online.machine)
    }

    /// Whether `addr`, any number whatsoever, lies in an object or a span of this heap.
    ///
    /// # Cost
    /// Three dependent loads; takes no lock, touches nothing that is not Ready.
    #[must_use]
    pub fn owns(&self, addr: VirtAddr) -> bool {
        self.pages.index().span_of(addr).is_some()
    }
}

impl<M: Machine, K: Kernel> Default for Heap<M, K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Machine, K: Kernel> fmt::Debug for Heap<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("ledger", self.pages.ledger())
            .finish_non_exhaustive()
    }
}
