//! The questions of verification about the central lists.

use archipelago_api::Machine;

use super::central::Lists;
use super::record::Kind;
use super::records::Records;
use crate::arena::SpanHandle;

impl Lists {
    /// Whether an empty span is kept.
    pub(crate) fn is_kept(&self, handle: SpanHandle) -> bool {
        self.kept_spans.contains(&handle.0.get())
    }

    /// The number of empty spans that are kept.
    pub(crate) fn count_kept(&self) -> usize {
        self.kept_spans.iter().filter(|kept| **kept != 0).count()
    }

    /// Whether the records of the pool describe nothing, and whether they are as many as counted.
    pub(crate) fn pool_is_sound<M: Machine>(&self, records: Records<'_, M>) -> (bool, bool) {
        self.pool
            .all_unused(records, |record| record.kind() == Kind::Unused)
    }
}
