//! Calls of the machine, and counters of them.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago_api::{Patience, VirtRange};

/// The six calls that change memory states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// From None to Reserved.
    Reserve,
    /// From Reserved to Prepared.
    Prepare,
    /// From Prepared to Ready.
    Commit,
    /// From Ready to Prepared.
    Decommit,
    /// From Ready or Prepared to Reserved.
    Fault,
    /// From any state to None.
    Release,
}

impl Kind {
    /// Every kind, in the order of the contract.
    pub const ALL: [Self; 6] = [
        Self::Reserve,
        Self::Prepare,
        Self::Commit,
        Self::Decommit,
        Self::Fault,
        Self::Release,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserve => "reserve",
            Self::Prepare => "prepare",
            Self::Commit => "commit",
            Self::Decommit => "decommit",
            Self::Fault => "fault",
            Self::Release => "release",
        })
    }
}

/// One call of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The transition.
    pub kind: Kind,
    /// The range.
    pub range: VirtRange,
    /// Whether the call may wait.
    pub patience: Patience,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.range)
    }
}

/// The number of calls of each kind, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    counts: [usize; Kind::ALL.len()],
}

impl Calls {
    /// Calls of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> usize {
        self.counts[kind as usize]
    }

    /// Calls of every kind.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}

/// The counters that [`Calls`] is a copy of.
#[derive(Debug, Default)]
pub(crate) struct CallCounters {
    counts: [AtomicUsize; Kind::ALL.len()],
}

impl CallCounters {
    /// Counts one call.
    pub(crate) fn count(&self, kind: Kind) {
        self.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A copy of the counters.
    pub(crate) fn read(&self) -> Calls {
        Calls {
            counts: core::array::from_fn(|kind| self.counts[kind].load(Ordering::Relaxed)),
        }
    }
}
