//! Verification of the central lists and of the pool of records.

use archipelago_api::{Kernel, Machine};

use super::rules::{Violation, rule, rule_at};
use super::verify::Walked;
use crate::arena::SpanHandle;
use crate::heap::Heap;
use crate::pageheap::Online;
use crate::span::{Kind, Lists, Record, SPAN_CLASSES};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Checks that every small span with free slots is on the list it belongs on, and no other.
    pub(super) fn verify_lists(
        &self,
        online: &Online<M>,
        lists: &Lists,
        walked: Walked,
    ) -> Result<(), Violation> {
        let (mut listed, mut empty) = (0, 0);
        for class in 0..SPAN_CLASSES {
            let mut broken = None;
            let most = walked.partial_spans;
            lists.for_each(online.records(), class, most, |handle, is_linked| {
                let record = online.records().get(handle).record;
                let first = record.run().first;
                let at_rule = |holds, name| rule_at::<M>(holds, first, name);
                let is_class = Self::list_of(online, handle) == Some(class);
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
                        self.pages.index().span_at(first) == Some(handle),
                        "a span on a list is in the index",
                    ))
                    .and(at_rule(
                        is_empty || !lists.is_kept(handle),
                        "a span that is kept has no live slot",
                    ))
                    .and(at_rule(
                        !is_empty || lists.is_kept(handle),
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
            empty == lists.count_kept(),
            "spans that are kept are on lists",
        )
    }

    fn is_without_live_slots(&self, record: &Record) -> bool {
        let Kind::Small(class) = record.kind() else {
            return false;
        };
        let slots = Self::TABLE
            .class(class)
            .map(|class| Self::TABLE.slots(class));
        slots == Some(record.free_slots())
    }

    /// The number of the lists that a small span belongs on, that of its span class.
    fn list_of(online: &Online<M>, handle: SpanHandle) -> Option<usize> {
        let span = online.records().get(handle);
        match span.kind() {
            Kind::Small(own) => Self::TABLE
                .class(own)
                .map(|class| span.span_class(class).number()),
            Kind::Unused | Kind::Large => None,
        }
    }

    /// Checks that the records in the pool describe nothing and are counted.
    pub(super) fn verify_pool(&self, online: &Online<M>, lists: &Lists) -> Result<(), Violation> {
        let (unused, counted) = lists.pool_is_sound(online.records());
        rule(unused, "records in the pool describe nothing")?;
        rule(counted, "records in the pool are counted")
    }
}
