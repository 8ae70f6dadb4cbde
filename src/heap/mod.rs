//! Layer 6: the heap.
//!
//! It owns growth, small and large objects, reallocation, the reserve, statistics and verification.
//! Two ranked locks guard it, central before page; the growth gate stands before both and is never
//! waited for under either. The machine is called inside the gate alone.

mod bits;
mod early;
mod free;
mod gate;
mod growth;
mod init;
mod large;
mod object;
mod plan;
#[cfg(test)]
mod planted;
mod ready;
mod reserve;
mod resize;
mod runs;
mod scavenge;
mod small;
mod stats;
mod tools;
mod verify;
mod window;

use core::fmt;
use core::sync::atomic::AtomicBool;

use archipelago_api::{Fault, Kernel, Machine, Offset, Report, VirtAddr};
use spin::once::Once;

use crate::arena::ArenaIndex;
use crate::base::lock::{RankedLock, rank};
use crate::page::{PageCache, Pages, State};
use crate::region::Ledger;
use crate::span::{Central, Records};
use early::Early;
use gate::Gate;
use growth::Growth;
use reserve::Reserve;

#[cfg(feature = "heap-bits")]
pub use bits::{BitsPartView, BitsView, ObjectView};
pub use early::EarlyRegion;
pub use init::InitFailure;
pub use object::AllocError;
pub use stats::Stats;
pub use tools::{ArenaView, ChunkView, SpanView};
pub use verify::Violation;
pub use window::{InitError, Window, WindowRule};

/// A heap on the machine `M` in the kernel `K`, made for a `static`: it allocates nothing until it
/// is initialised.
///
/// It implements [`GlobalAlloc`](core::alloc::GlobalAlloc).
pub struct Heap<M: Machine, K: Kernel> {
    early: Early<K>,
    index: ArenaIndex<M>,
    opened: Once<Opened<M>>,
    ledger: Ledger,
    gate: Gate<Growth>,
    pages: Pages<M>,
    page: RankedLock<PageSide, K, { rank::PAGE }>,
    central: RankedLock<Central, K, { rank::CENTRAL }>,
    /// The reserve is not as large as the kernel asked for.
    reserve_low: AtomicBool,
    /// What fills the reserve, once there is one: a kernel that never asks for one links none of
    /// it.
    refill: Once<fn(&Self, &Opened<M>)>,
}

/// What the page lock guards.
#[derive(Debug)]
struct PageSide {
    pages: State,
    /// The one CPU's cache that there is for now; a cache per CPU has its seam here.
    cache: PageCache,
    reserve: Reserve,
}

/// What `init` brought.
#[derive(Debug)]
struct Opened<M> {
    machine: M,
    /// Where span handles count from.
    anchor: Offset,
}

impl<M: Machine> Opened<M> {
    fn records(&self) -> Records<'_, M> {
        Records::new(&self.machine, self.anchor)
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Whether code and constants are as scarce as memory: where there is no MMU.
    const SAVES_CODE: bool = !M::DECOMMITS;

    /// A heap that is not initialised, and without an early heap: until `init` it refuses every
    /// request.
    #[must_use]
    pub const fn new() -> Self {
        Self::build(Early::none())
    }

    const fn build(early: Early<K>) -> Self {
        let page_bytes = M::GEOMETRY.page_bytes();
        let block_bytes = ArenaIndex::<M>::BLOCK_BYTES;
        Self {
            early,
            index: ArenaIndex::new(),
            opened: Once::new(),
            ledger: Ledger::new(),
            gate: Gate::new(Growth::new(if block_bytes > page_bytes {
                block_bytes
            } else {
                page_bytes
            })),
            pages: Pages::new(),
            page: RankedLock::new(PageSide {
                pages: State::new(),
                cache: PageCache::EMPTY,
                reserve: Reserve::new(),
            }),
            central: RankedLock::new(Central::new()),
            reserve_low: AtomicBool::new(false),
            refill: Once::new(),
        }
    }

    /// The machine that `init` was given; `None` before that. Its safe methods may be used at any
    /// time; the states of what the heap reserved are the heap's.
    #[must_use]
    pub fn machine(&self) -> Option<&M> {
        self.opened.get().map(|opened| &opened.machine)
    }

    /// Whether `addr`, any number whatsoever, lies in an object or a span of this heap.
    ///
    /// # Cost
    /// Three dependent loads; takes no lock, touches nothing that is not Ready.
    #[must_use]
    pub fn owns(&self, addr: VirtAddr) -> bool {
        self.index.span_of(addr).is_some()
    }
}

/// What a step that was made certain beforehand answers; anything else is a damaged structure, and
/// stops the machine.
fn certain<K: Kernel, T, E>(answer: Result<T, E>, rule: &'static str) -> T {
    match answer {
        Ok(value) => value,
        Err(_) => K::stop(&Report {
            fault: Fault::Corruption(rule),
            address: VirtAddr::new(0),
            layout: None,
            span: None,
        }),
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
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
