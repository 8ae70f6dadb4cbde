//! Spans that go from the central lists to a CPU and back.

use archipelago_api::Machine;

use super::central::Lists;
use super::class::{SizeClass, SpanClass};
use super::record::{Kind, Record};
use super::records::Records;
use super::tokens::RetiredRun;
use crate::arena::SpanHandle;

impl Lists {
    /// Counts a small span that was just made, for a CPU.
    pub(crate) fn count_span<M: Machine>(&mut self, record: &Record) {
        self.counts.count_small::<M>(record, true);
    }

    /// Makes an empty span that was a CPU's one of another class with as many pages, for a CPU.
    pub(crate) fn recast_span<M: Machine>(
        &mut self,
        record: &Record,
        class: SizeClass,
        slots: u16,
    ) {
        self.counts.count_small::<M>(record, false);
        record.describe::<M>(Kind::Small(class.number()), record.run::<M>(), slots, false);
        self.counts.count_small::<M>(record, true);
    }

    /// Takes a span of `class` that has free slots off its list, for a CPU.
    pub(crate) fn take_span<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        class: SpanClass,
    ) -> Option<SpanHandle> {
        let handle = self.partial.get(class.number())?.first()?;
        self.no_longer_kept(handle);
        self.unlink(records, class.number(), handle);
        Some(handle)
    }

    /// Puts a span that was a CPU's on its list if it has free slots; an empty one is retired, and
    /// its pages go to the caller.
    pub(crate) fn return_span<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
        class: SizeClass,
        slots: usize,
    ) -> Option<RetiredRun> {
        let span = records.get(handle);
        match span.record.free_slots() {
            0 => None,
            free if free == slots => Some(self.retire_small(records, handle)),
            _ => {
                self.link(records, span.span_class(class).number(), handle);
                None
            }
        }
    }
}
