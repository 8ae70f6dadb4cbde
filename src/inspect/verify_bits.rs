//! Verification of the heap bitmap: its memory is where it is needed, and nowhere else.

use archipelago_api::{Kernel, Machine, VirtAddr};

use super::check::Check;
use super::rules::{Violation, rule, rule_at, rule_at_address};
use super::views::slots_of;
use super::walk::spans_in;
use crate::arena::{ArenaIndex, BitsReader, SpanHandle};
use crate::base::PageRun;
use crate::bits::{HeapBits, Tables, WordBits};
use crate::heap::Heap;
use crate::region::{Purpose, Windows};
use crate::span::{Kind, SpanRef};

/// Bytes of the bitmap that are Ready, and the pages that need them.
#[derive(Clone, Copy, Debug, Default)]
struct CountedParts {
    needed: usize,
    idle: usize,
    /// Pages that are marked as in scannable spans.
    claimed: usize,
}

/// The arenas that the windows lie in, lowest first.
fn arenas_of<M: Machine>(windows: &Windows) -> impl Iterator<Item = usize> + '_ {
    let mut next = 0;
    let windows = windows.all().iter().filter(|window| !window.is_empty());
    windows.flat_map(move |window| {
        let arenas = ArenaIndex::<M>::arenas_of(window);
        let first = next.max(*arenas.start());
        next = arenas.end() + 1;
        first..next
    })
}

impl<M: Machine, K: Kernel> Check<'_, M, K> {
    /// How many parts of the bitmap are Ready.
    pub(super) fn ready_parts(index: &ArenaIndex<M>, windows: &Windows) -> usize {
        let parts = arenas_of::<M>(windows).flat_map(|arena| index.parts_of(arena));
        parts.filter(|part| part.is_ready).count()
    }

    /// Checks the bitmap's memory against the spans; `idle` bytes of it are counted as idle.
    pub(super) fn verify_bits(&self, idle: usize) -> Result<(), Violation> {
        let mut walked = CountedParts::default();
        let mut claimed = 0;
        for range in self.pool.owned().iter() {
            for piece in ArenaIndex::<M>::pieces(range) {
                claimed += self.verify_page_bits(piece)?;
            }
        }
        for arena in arenas_of::<M>(&self.gated.windows) {
            self.count_parts(arena, &mut walked)?;
        }
        for range in self.pool.owned().iter() {
            self.verify_objects(range)?;
        }
        rule(
            self.heap.pages.ledger().of(Purpose::HeapBits) == walked.needed,
            "the heap bitmap that covers scannable spans is charged as such",
        )?;
        rule(
            claimed == walked.claimed,
            "the heap bitmap is claimed for owned pages alone",
        )?;
        rule(
            idle == walked.idle,
            "idle parts of the heap bitmap are counted",
        )
    }

    /// Checks the bitmap's marks of pages in scannable spans, and counts them.
    fn verify_page_bits(&self, piece: PageRun) -> Result<usize, Violation> {
        let mut marked = 0;
        for index in 0..piece.count {
            let page = piece.first.plus(index);
            let span = self.heap.pages.index().span_at(page);
            let is_scannable =
                span.is_some_and(|span| self.online.records().get(span).scan().is_yes());
            let is_marked = self.heap.pages.index().is_claimed(page);
            rule_at::<M>(
                is_marked == is_scannable,
                page,
                "the heap bitmap is claimed for the pages of scannable spans",
            )?;
            marked += usize::from(is_marked);
        }
        Ok(marked)
    }

    fn count_parts(&self, arena: usize, walked: &mut CountedParts) -> Result<(), Violation> {
        for part in self.heap.pages.index().parts_of(arena) {
            rule_at::<M>(
                part.is_ready || part.claimed == 0,
                part.first,
                "the heap bitmap that covers scannable spans is ready",
            )?;
            rule_at::<M>(
                self.bits_reader().is_dead_where_unclaimed(&part),
                part.first,
                "words outside of scannable spans are dead",
            )?;
            walked.claimed += part.claimed.count_ones() as usize;
            let count = match (part.is_ready, part.claimed) {
                (false, _) => continue,
                (true, 0) => &mut walked.idle,
                (true, _) => &mut walked.needed,
            };
            *count += ArenaIndex::<M>::PART_BYTES;
        }
        Ok(())
    }

    /// Checks the bits of the words of scannable spans.
    fn verify_objects(&self, range: PageRun) -> Result<(), Violation> {
        for (handle, span) in spans_in(self.heap.pages.index(), self.online, range) {
            self.verify_distance(handle, span)?;
            if span.scan().is_yes() {
                self.verify_span(span)?;
            }
        }
        Ok(())
    }

    /// Checks that a record leads to the bits that cover its span, or nowhere.
    fn verify_distance(&self, handle: SpanHandle, span: SpanRef<'_>) -> Result<(), Violation> {
        let (record, first) = (span.record, span.record.first::<M>());
        let class = match record.kind() {
            Kind::Small(number) if span.scan().is_yes() => Heap::<M, K>::TABLE.class(number),
            _ => None,
        };
        let expected = class.map_or((0, 0), |class| {
            // SAFETY: the span is scannable, and the check holds the central lock.
            unsafe { self.heap.find_bits(self.online, handle, first, class) }
        });
        let near = record.near_slots();
        rule_at::<M>(
            near == expected.1 && (near == 0 || record.bits_distance() == expected.0),
            first,
            "a record says where the heap bitmap that covers its span is",
        )
    }

    fn verify_span(&self, span: SpanRef<'_>) -> Result<(), Violation> {
        let run = span.record.run::<M>();
        let (slots, bytes) = slots_of::<M, K>(span);
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
            rule_at_address(holds, start, name)?;
        }
        let tail = VirtAddr::new(first.value().wrapping_add(slots * bytes));
        let is_dead = self.is_dead(tail, run.bytes::<M>() - slots * bytes);
        rule_at_address(is_dead, tail, "the words of a span's tail are dead")
    }

    fn bits_reader(&self) -> BitsReader<'_, M> {
        // SAFETY: the check holds the growth gate, and takes no part back.
        unsafe { self.heap.pages.index().read_bits() }
    }

    fn is_dead(&self, start: VirtAddr, bytes: usize) -> bool {
        entries(&self.bits_reader(), start, bytes).all(|entry| entry == Some(WordBits::DEAD))
    }

    /// Whether no word after a dead one is described.
    fn stays_dead(&self, start: VirtAddr, bytes: usize) -> bool {
        let mut has_ended = false;
        entries(&self.bits_reader(), start, bytes)
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
