//! Fragmented page layers for tests and measurements: a terabyte in a pattern, without freeing its
//! pages one by one.

use core::sync::atomic::Ordering::Relaxed;

use crate::base::{PageRun, Shape};

use super::bits::{Bits, WORD};
use super::free_pages::FreePages;
use super::state::State;
use super::tree::Tree;

/// Pages of a block of the pattern.
const BLOCK_PAGES: usize = 64;

impl<S: Shape> FreePages<S> {
    /// Takes, of each aligned block of 64 pages in `run`, the free pages whose bits `pattern`
    /// returns, lowest block first. The run is owned, and begins and ends at such blocks; chunks
    /// are no smaller.
    ///
    /// The search address stays, as after [`take`](Self::take).
    pub(crate) fn take_pattern(
        &self,
        state: &mut State,
        run: PageRun,
        mut pattern: impl FnMut() -> u64,
    ) {
        debug_assert!(
            run.first.0 % BLOCK_PAGES == 0
                && run.count % BLOCK_PAGES == 0
                && Tree::<S>::CHUNK_PAGES >= BLOCK_PAGES,
            "a pattern covers whole blocks"
        );
        self.change(state.top(), run, |chunk, piece| {
            for first in (piece.first..piece.first + piece.count).step_by(BLOCK_PAGES) {
                let taken = chunk.free.block(first) & pattern();
                let scavenged = chunk.scavenged.block(first) & taken;
                chunk.free.clear_block(first, taken);
                state.free -= taken.count_ones() as usize;
                state.scavenged -= scavenged.count_ones() as usize;
            }
            chunk.free.summary()
        });
    }
}

impl Bits<'_> {
    /// The 64 bits from `first`, a multiple of 64. Bits past the chunk read as clear.
    fn block(self, first: usize) -> u64 {
        let words = self.words.iter().skip(first / WORD).take(64 / WORD);
        words.enumerate().fold(0, |block, (position, word)| {
            block | (word.load(Relaxed) as u64) << (position * WORD)
        })
    }

    /// Clears those of the 64 bits from `first`, a multiple of 64, that are set in `block`.
    fn clear_block(self, first: usize, block: u64) {
        let words = self.words.iter().skip(first / WORD).take(64 / WORD);
        for (position, word) in words.enumerate() {
            let part = block >> (position * WORD) & usize::MAX as u64;
            let mask = usize::try_from(part).unwrap_or(usize::MAX);
            word.store(word.load(Relaxed) & !mask, Relaxed);
        }
    }
}
