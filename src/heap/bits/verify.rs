//! Verification of the heap bitmap: its memory is where it is needed, and nowhere else.

use archipelago_api::{Kernel, Machine, VirtAddr};

use super::super::growth::Growth;
use super::super::verify::{rule, rule_at};
use super::super::{Heap, Opened, PageSide, Violation};
use super::view::Inside;
use crate::arena::{ArenaIndex, SpanHandle};
use crate::base::PageRun;
use crate::bits::{HeapBits, Tables, WordBits};
use crate::region::Purpose;
use crate::span::{Central, Kind, SpanRef};

/// Bytes of the bitmap that are Ready.
#[derive(Clone, Copy, Debug, Default)]
struct Walked {
    needed: usize,
    idle: usize,
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Checks the bitmap's memory against the spans, and answers how much of it is idle.
    pub(in super::super) fn verify_bits(
        &self,
        opened: &Opened<M>,
        growth: &Growth,
        central: &Central,
        page: &PageSide,
    ) -> Result<usize, Violation> {
        let mut walked = Walked::default();
        for range in page.pages.owned().iter() {
            for piece in ArenaIndex::<M>::pieces(range) {
                self.verify_page_bits(opened, piece)?;
            }
        }
        let mut next = 0;
        for window in growth.windows.iter().filter(|window| !window.is_empty()) {
            let arenas = ArenaIndex::<M>::arenas_of(window);
            for arena in next.max(*arenas.start())..=*arenas.end() {
                self.count_parts(arena, &mut walked)?;
            }
            next = arenas.end() + 1;
        }
        for range in page.pages.owned().iter() {
            self.verify_objects(opened, range)?;
        }
        rule(
            self.ledger.of(Purpose::HeapBits) == walked.needed,
            "the heap bitmap in front of scannable spans is charged as such",
        )?;
        rule(
            central.bits.idle_bytes == walked.idle,
            "idle parts of the heap bitmap are counted",
        )?;
        Ok(walked.idle)
    }

    /// Checks which pages the bitmap says are in scannable spans.
    fn verify_page_bits(&self, opened: &Opened<M>, piece: PageRun) -> Result<(), Violation> {
        for index in 0..piece.count {
            let page = piece.first.plus(index);
            let span = self.index.span_at(page);
            let is_scannable =
                span.is_some_and(|span| opened.records().get(span).record.is_scannable());
            let is_marked = self.index.is_claimed(page);
            rule_at::<M>(
                is_marked == is_scannable,
                page,
                "the heap bitmap is claimed for the pages of scannable spans",
            )?;
        }
        Ok(())
    }

    fn count_parts(&self, arena: usize, walked: &mut Walked) -> Result<(), Violation> {
        for part in self.index.parts_of(arena) {
            rule_at::<M>(
                part.is_ready || part.claimed == 0,
                part.first,
                "the heap bitmap in front of scannable spans is ready",
            )?;
            rule_at::<M>(
                self.index.is_dead_where_unclaimed(&part),
                part.first,
                "words outside of scannable spans are dead",
            )?;
            let count = match (part.is_ready, part.claimed) {
                (false, _) => continue,
                (true, 0) => &mut walked.idle,
                (true, _) => &mut walked.needed,
            };
            *count += ArenaIndex::<M>::PART_BYTES;
        }
        Ok(())
    }

    /// Checks what is said of the words of scannable spans.
    fn verify_objects(&self, opened: &Opened<M>, range: PageRun) -> Result<(), Violation> {
        let mut at = range.first;
        while at < range.end() {
            let Some(handle) = self.index.span_at(at) else {
                at = at.plus(1);
                continue;
            };
            let span = opened.records().get(handle);
            self.verify_distance(opened, handle, span)?;
            if span.is_scannable() {
                self.verify_span(span)?;
            }
            at = at.plus(span.record.run().count.max(1));
        }
        Ok(())
    }

    /// Checks that a record leads to the bits in front of its span, or nowhere.
    fn verify_distance(
        &self,
        opened: &Opened<M>,
        handle: SpanHandle,
        span: SpanRef<'_>,
    ) -> Result<(), Violation> {
        let (record, first) = (span.record, span.record.first());
        let class = match record.kind() {
            Kind::Small(number) if span.is_scannable() => Self::TABLE.class(number),
            _ => None,
        };
        let expected = class.map_or((0, 0), |class| self.find_bits(opened, handle, first, class));
        let near = record.near_slots();
        rule_at::<M>(
            near == expected.1 && (near == 0 || record.bits_distance() == expected.0),
            first,
            "a record says where the heap bitmap in front of its span is",
        )
    }

    fn verify_span(&self, span: SpanRef<'_>) -> Result<(), Violation> {
        let run = span.record.run();
        let (slots, bytes) = Self::slots_of(span);
        let first = run.first.address::<M>();
        for slot in 0..slots {
            let start = VirtAddr::new(first.value().wrapping_add(slot * bytes));
            let is_live = span.record.kind() == Kind::Large || span.is_taken(slot);
            let (holds, name) = if is_live {
                let ends = self.stays_dead(start, bytes);
                (ends, "a description that has ended does not go on")
            } else {
                let is_dead = self.is_dead(start, bytes);
                (is_dead, "the words of a free slot are dead")
            };
            at_address(holds, start, name)?;
        }
        let tail = VirtAddr::new(first.value().wrapping_add(slots * bytes));
        let is_dead = self.is_dead(tail, run.bytes::<M>() - slots * bytes);
        at_address(is_dead, tail, "the words of a span's tail are dead")
    }

    fn is_dead(&self, start: VirtAddr, bytes: usize) -> bool {
        let tables = Inside(&self.index);
        entries(&tables, start, bytes).all(|entry| entry == Some(WordBits::DEAD))
    }

    /// Whether nothing is said of words behind a dead one.
    fn stays_dead(&self, start: VirtAddr, bytes: usize) -> bool {
        let (tables, mut has_ended) = (Inside(&self.index), false);
        entries(&tables, start, bytes)
            .enumerate()
            .all(|(word, entry)| {
                let Some(entry) = entry else {
                    return false;
                };
                let goes_on = word != 1 && entry.scan;
                let says = entry.pointer || goes_on;
                let holds = !(has_ended && says);
                has_ended |= word != 1 && !entry.scan;
                // A pointer in a word that is not described.
                holds && !(has_ended && entry.pointer)
            })
    }
}

/// The bits of `bytes` bytes from `start`, which lie in the space, a word at a time.
fn entries<T: Tables>(
    tables: &T,
    start: VirtAddr,
    bytes: usize,
) -> impl Iterator<Item = Option<WordBits>> + '_ {
    let first = HeapBits::at(tables, start);
    let words = core::iter::successors(first, |word| Some(word.next()));
    words.map(HeapBits::entry).take(bytes / T::WORD_BYTES)
}

fn at_address(holds: bool, address: VirtAddr, rule: &'static str) -> Result<(), Violation> {
    if holds {
        return Ok(());
    }
    Err(Violation {
        rule,
        address: Some(address),
    })
}
