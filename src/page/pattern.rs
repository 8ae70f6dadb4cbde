//! Fragmented heaps for tests and measurements: a terabyte in a pattern, without freeing its pages
//! one by one.

use crate::base::{PageRun, Shape};

use super::cache::BLOCK_PAGES;
use super::free_pages::Pages;
use super::state::State;
use super::tree::Tree;

impl<S: Shape> Pages<S> {
    /// Takes, of each aligned block of 64 pages in `run`, the free pages whose bits are set in what
    /// `pattern` answers, lowest block first. The run is owned, and begins and ends at such blocks;
    /// chunks are no smaller.
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

#[cfg(test)]
mod tests {
    use archipelago_api::Geometry;

    use crate::testing::{PageLayer, TestGeometry};

    struct Plain;

    impl TestGeometry for Plain {
        const GEOMETRY: Geometry = Geometry::PLAIN_32;
    }

    #[test]
    fn a_pattern_takes_what_is_free_and_leaves_a_sound_layer() {
        let mut layer = PageLayer::<Plain>::new();
        let (first, count) = (0x4c0, 0x400);
        assert_eq!(layer.grow(first - 1, count + 2), Ok(()));
        assert!(layer.take(first + 64, 2).is_some());
        let mut blocks = [0b1110, 0b1001_0010]
            .into_iter()
            .chain(core::iter::repeat(!1));
        layer.take_pattern(first, count, || blocks.next().unwrap_or(0));
        assert_eq!(layer.verify(), Ok(()));
        let taken = layer.taken_runs(first - 1, 2 * 64 + 3);
        assert_eq!(taken, [2..5, 65..67, 69..70, 72..73, 130..131]);
        let blocks = count / 64;
        let free = 2 + (64 - 3) + (64 - 4) + (blocks - 2);
        assert_eq!(layer.totals(), (free, free), "no page was Ready");
        assert_eq!(layer.find(60), Some(first + 4));
    }
}
