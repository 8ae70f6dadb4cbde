//! Verification of the central lists and of the pool of records.

use archipelago_api::{Kernel, Machine};

use super::check::{Check, Walked};
use super::rules::{Violation, rule, rule_at};

use crate::arena::SpanHandle;
use crate::heap::Heap;
use crate::span::{Kind, Record, SPAN_CLASSES};

impl<M: Machine, K: Kernel> Check<'_, M, K> {
    /// Checks that every small span with free slots is on the list it belongs on, and no other.
    pub(super) fn verify_lists(&self, walked: Walked) -> Result<(), Violation> {
        let (mut listed, mut empty) = (0, 0);
        for class in 0..SPAN_CLASSES {
            let mut broken = None;
            let most = walked.partial_spans;
            self.lists
                .for_each(self.online.records(), class, most, |handle, is_linked| {
                    let record = self.online.records().get(handle).record;
                    let first = record.run::<M>().first;
                    let at_rule = |holds, name| rule_at::<M>(holds, first, name);
                    let is_class = self.list_of(handle) == Some(class);
                    let is_empty = self.is_without_live_slots(record);
                    listed += 1;
                    empty += usize::from(is_empty);
                    let answer = at_rule(is_class, "a list holds spans of its class")
                        .and(at_rule(
                            record.free_slots() > 0,
                            "a span is on the partial list while it has free slots",
                        ))
                        .and(at_rule(
                            is_linked,
                            "a span's neighbours on its list know it",
                        ))
                        .and(at_rule(
                            self.heap.pages.index().span_at(first) == Some(handle),
                            "a span on a list is in the index",
                        ))
                        .and(at_rule(
                            is_empty || !self.lists.is_kept(handle),
                            "a span that is kept has no live slot",
                        ))
                        .and(at_rule(
                            !is_empty || self.lists.is_kept(handle),
                            "a span without live slots is kept",
                        ));
                    broken = broken.or(answer.err());
                    broken.is_none()
                });
            if let Some(violation) = broken {
                return Err(violation);
            }
        }
        rule(
            listed == walked.partial_spans,
            "every span with free slots is on one list",
        )?;
        rule(
            empty == self.lists.count_kept(),
            "spans that are kept are on lists",
        )
    }

    fn is_without_live_slots(&self, record: &Record) -> bool {
        let Kind::Small(class) = record.kind() else {
            return false;
        };
        let slots = Heap::<M, K>::TABLE
            .class(class)
            .map(|class| Heap::<M, K>::TABLE.slots(class));
        slots == Some(record.free_slots())
    }

    /// The number of the lists that a small span belongs on, that of its span class.
    fn list_of(&self, handle: SpanHandle) -> Option<usize> {
        let span = self.online.records().get(handle);
        match span.kind() {
            Kind::Small(own) => Heap::<M, K>::TABLE
                .class(own)
                .map(|class| span.span_class(class).number()),
            Kind::Unused | Kind::Large => None,
        }
    }

    /// Checks that the records in the pool describe nothing and are counted.
    pub(super) fn verify_pool(&self) -> Result<(), Violation> {
        let (unused, counted) = self.lists.pool_is_sound(self.online.records());
        rule(unused, "records in the pool describe nothing")?;
        rule(counted, "records in the pool are counted")
    }
}
