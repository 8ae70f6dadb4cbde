//! Verification of the heap bitmap: its memory is where it is needed, and nowhere else.

use archipelago_api::{Kernel, Machine};

use super::super::growth::Growth;
use super::super::verify::{rule, rule_at};
use super::super::{Heap, Opened, PageSide, Violation};
use crate::arena::ArenaIndex;
use crate::base::PageRun;
use crate::region::Purpose;
use crate::span::Central;

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
        for (is_ready, pages) in self.index.parts_of(arena) {
            rule(
                is_ready || pages == 0,
                "the heap bitmap in front of scannable spans is ready",
            )?;
            let count = match (is_ready, pages) {
                (false, _) => continue,
                (true, 0) => &mut walked.idle,
                (true, _) => &mut walked.needed,
            };
            *count += ArenaIndex::<M>::PART_BYTES;
        }
        Ok(())
    }
}
