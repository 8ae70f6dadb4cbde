//! The account of every byte.

use crate::base::sync::{AtomicUsize, Ordering};

/// What Ready memory is used for. Every Ready byte is charged to one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Pages in spans: objects, and the slots beside them.
    Objects,
    /// Free pages that are Ready.
    Free,
    /// Ready pages kept for atomic requests.
    Reserve,
    /// What belongs to one arena: the map from pages to spans.
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
    /// Metadata memory that no purpose has taken yet.
    UnusedMetadata,
    /// The heap bitmap, where objects that may hold pointers lie behind it.
    #[cfg(feature = "heap-bits")]
    HeapBits,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; if cfg!(feature = "heap-bits") { 11 } else { 10 }] = [
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
        #[cfg(feature = "heap-bits")]
        Self::HeapBits,
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
            #[cfg(feature = "heap-bits")]
            Self::HeapBits => "heap bitmap",
        }
    }
}

/// Bytes by purpose and by state. At every quiescent moment the purposes add up to `mapped_ready`.
///
/// Counters are plain `usize` atomics, each changed under the lock or gate that guards what it
/// counts.
#[derive(Debug)]
pub(crate) struct Ledger {
    purposes: [AtomicUsize; Purpose::ALL.len()],
    mapped_ready: AtomicUsize,
    prepared: AtomicUsize,
    reserved: AtomicUsize,
    limit: AtomicUsize,
}

impl Ledger {
    /// An account with nothing on it, and no limit.
    pub(crate) const fn new() -> Self {
        Self {
            purposes: [const { AtomicUsize::new(0) }; Purpose::ALL.len()],
            mapped_ready: AtomicUsize::new(0),
            prepared: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
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

    /// Bytes Prepared.
    pub(crate) fn prepared(&self) -> usize {
        self.prepared.load(Ordering::Relaxed)
    }

    /// Bytes Reserved.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    /// The limit on Ready bytes; `usize::MAX` is none.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets the limit on Ready bytes.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Clears all but the limit: the heap was not opened after all.
    pub(crate) fn clear(&self) {
        let totals = [&self.mapped_ready, &self.prepared, &self.reserved];
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
        self.charge(purpose, bytes);
    }

    /// Takes bytes that are no longer Ready off the account.
    pub(super) fn was_ready(&self, purpose: Purpose, bytes: usize) {
        subtract(&self.mapped_ready, bytes);
        self.credit(purpose, bytes);
    }

    /// Moves the plain totals of the other two states.
    pub(super) fn moved(&self, state: Plain, more: bool, bytes: usize) {
        let total = match state {
            Plain::Reserved => &self.reserved,
            Plain::Prepared => &self.prepared,
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
}

/// The states that only have a total.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plain {
    Reserved,
    Prepared,
}

// Out of line, both of them: where there is no single instruction for it, each is a loop.
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
