//! The account of every byte.

use crate::base::sync::{AtomicUsize, Ordering};

/// A purpose that Ready memory serves. Every Ready byte is charged to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Pages in spans: objects, and the free slots beside them.
    Objects,
    /// Free pages that are Ready.
    Free,
    /// Ready pages kept for atomic requests.
    Reserve,
    /// The maps from pages to spans, one for each arena.
    ArenaMetadata,
    /// The arena index's second level.
    ArenaIndex,
    /// The tree of summaries.
    Summaries,
    /// Chunk bitmaps.
    ChunkBitmaps,
    /// Span records and their alloc bits.
    Spans,
    /// Arrays of address ranges.
    Ranges,
    /// Metadata memory that is committed and not yet in use.
    UnusedMetadata,
    /// The heap bitmap, as far as it covers scannable spans. Nothing without the feature
    /// `heap-bits`.
    HeapBits,
    /// Runs of pages that the kernel took for itself.
    Runs,
}

/// How many purposes there are.
const PURPOSES: usize = Purpose::ALL.len();

impl Purpose {
    /// All purposes.
    pub const ALL: &'static [Self] = &[
        Self::Objects,
        Self::Free,
        Self::Reserve,
        Self::ArenaMetadata,
        Self::ArenaIndex,
        Self::Summaries,
        Self::ChunkBitmaps,
        Self::Spans,
        Self::Ranges,
        Self::UnusedMetadata,
        Self::HeapBits,
        Self::Runs,
    ];

    /// The purpose in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Free => "free pages",
            Self::Reserve => "reserve",
            Self::ArenaMetadata => "arena metadata",
            Self::ArenaIndex => "arena index",
            Self::Summaries => "page summaries",
            Self::ChunkBitmaps => "chunk bitmaps",
            Self::Spans => "spans",
            Self::Ranges => "ranges",
            Self::UnusedMetadata => "unused metadata",
            Self::HeapBits => "heap bitmap",
            Self::Runs => "runs of pages",
        }
    }
}

/// Bytes by purpose and by state. At every quiescent moment the purposes add up to `mapped_ready`.
///
/// Counters are `usize` atomics that are only added to and subtracted from, so that no lock is
/// needed to change one.
#[derive(Debug)]
pub(crate) struct Ledger {
    purposes: [AtomicUsize; PURPOSES],
    mapped_ready: AtomicUsize,
    /// The most bytes that were Ready at once.
    peak_ready: AtomicUsize,
    prepared: AtomicUsize,
    reserved: AtomicUsize,
    /// The limit's distance from `usize::MAX`, so that an account without a limit is zero.
    below_top: AtomicUsize,
}

impl Ledger {
    /// An empty account without a limit.
    pub(crate) const fn new() -> Self {
        Self {
            purposes: [const { AtomicUsize::new(0) }; PURPOSES],
            mapped_ready: AtomicUsize::new(0),
            peak_ready: AtomicUsize::new(0),
            prepared: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            below_top: AtomicUsize::new(0),
        }
    }

    /// Bytes charged to `purpose`.
    pub(crate) fn of(&self, purpose: Purpose) -> usize {
        self.purposes[purpose as usize].load(Ordering::Relaxed)
    }

    /// Bytes Ready.
    pub(crate) fn mapped_ready(&self) -> usize {
        self.mapped_ready.load(Ordering::Relaxed)
    }

    /// The most bytes that were Ready at once.
    pub(crate) fn peak_ready(&self) -> usize {
        self.peak_ready.load(Ordering::Relaxed)
    }

    /// Bytes Prepared.
    pub(crate) fn prepared(&self) -> usize {
        self.prepared.load(Ordering::Relaxed)
    }

    /// Bytes Reserved.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    /// The limit on Ready bytes; `usize::MAX` means no limit.
    pub(crate) fn limit(&self) -> usize {
        !self.below_top.load(Ordering::Relaxed)
    }

    /// Sets the limit on Ready bytes.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.below_top.store(!bytes, Ordering::Relaxed);
    }

    /// Clears all but the limit: the heap did not come online.
    pub(crate) fn clear(&self) {
        let Self {
            mapped_ready,
            peak_ready,
            prepared,
            reserved,
            ..
        } = self;
        let totals = [mapped_ready, peak_ready, prepared, reserved];
        for total in self.purposes.iter().chain(totals) {
            total.store(0, Ordering::Relaxed);
        }
    }

    /// Moves bytes that stay Ready from one purpose to another.
    pub(crate) fn transfer(&self, from: Purpose, to: Purpose, bytes: usize) {
        self.credit(from, bytes);
        self.charge(to, bytes);
    }

    /// Charges bytes that became Ready.
    pub(super) fn became_ready(&self, purpose: Purpose, bytes: usize) {
        add(&self.mapped_ready, bytes);
        // Memory becomes Ready inside the growth gate alone, so no other CPU stores a peak now.
        let mapped_ready = self.mapped_ready();
        if mapped_ready > self.peak_ready() {
            self.peak_ready.store(mapped_ready, Ordering::Relaxed);
        }
        self.charge(purpose, bytes);
    }

    /// Takes bytes that are no longer Ready off the account.
    pub(super) fn was_ready(&self, purpose: Purpose, bytes: usize) {
        subtract(&self.mapped_ready, bytes);
        self.credit(purpose, bytes);
    }

    /// Moves the total of a state other than Ready, up if `more`, else down.
    pub(super) fn moved(&self, state: Total, more: bool, bytes: usize) {
        let total = match state {
            Total::Reserved => &self.reserved,
            Total::Prepared => &self.prepared,
        };
        if more {
            add(total, bytes);
        } else {
            subtract(total, bytes);
        }
    }

    fn charge(&self, purpose: Purpose, bytes: usize) {
        add(&self.purposes[purpose as usize], bytes);
    }

    fn credit(&self, purpose: Purpose, bytes: usize) {
        subtract(&self.purposes[purpose as usize], bytes);
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Ledger {
    pub(crate) fn plant(&self, purpose: Purpose, bytes: usize) {
        self.charge(purpose, bytes);
    }

    pub(crate) fn plant_peak(&self, bytes: usize) {
        self.peak_ready.store(bytes, Ordering::Relaxed);
    }
}

/// A state that has a total and no purposes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Total {
    Reserved,
    Prepared,
}

// Both are out of line: where the machine has no single instruction for it, each is a loop.
#[inline(never)]
fn add(total: &AtomicUsize, bytes: usize) {
    total.fetch_add(bytes, Ordering::Relaxed);
}

#[inline(never)]
fn subtract(total: &AtomicUsize, bytes: usize) {
    let before = total.fetch_sub(bytes, Ordering::Relaxed);
    debug_assert!(
        before >= bytes,
        "a total of {before} bytes cannot lose {bytes}"
    );
}
