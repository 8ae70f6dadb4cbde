//! Mistakes that other implementations of these algorithms have made.

use super::{Fixture, chunk, places, run};
use crate::page::bits::ChunkBits;
use crate::page::tree::{Tree, TreeNode};
use crate::region::Purpose;
use crate::testing::{Shaped, TestGeometry};

on_every_geometry! {
    regression_search_address_never_lies_in_a_hole,
    regression_last_page_of_the_space_leaves_a_lawful_search_address,
    regression_aligned_run_changes_only_its_own_pages,
    regression_chunk_0_and_page_0_are_like_any_other,
    regression_scattered_chunks_cost_only_their_own_tables,
    regression_counting_skips_what_is_absent,
    regression_growth_past_the_top_wraps_nowhere,
    regression_failed_large_request_hides_nothing_from_small_ones,
}

/// A candidate from a summary high in the tree may be the start of something of which the heap owns
/// only the end.
fn regression_search_address_never_lies_in_a_hole<G: TestGeometry>() {
    let all = 1 << G::GEOMETRY.chunk_number_bits();
    let c = chunk::<G>();
    for (low, middle, high) in [
        (0, all / 4 + 3, all / 2),
        (1, all / 2 - 1, all / 2 + 1),
        (all / 8 - 1, all / 2 + 5, all - 1),
    ] {
        let mut heap = Fixture::<G>::new();
        heap.grow(run(low * c, c));
        heap.grow(run(middle * c, c));
        heap.grow(run(high * c, c));
        heap.take(run(low * c, c - 1)).expect("fresh");
        heap.take(run(middle * c, 2)).expect("fresh");
        heap.take(run(middle * c + 11, c - 11)).expect("fresh");
        let first = |heap: &mut Fixture<G>, count| {
            let taken = heap.alloc(count);
            heap.check();
            taken.map(|taken| taken.run.first.0)
        };
        assert_eq!(first(&mut heap, 1), Some(low * c + c - 1));
        assert_eq!(first(&mut heap, 10), Some(high * c));
        assert_eq!(first(&mut heap, 9), Some(middle * c + 2));
        assert_eq!(first(&mut heap, 1), (c > 10).then_some(high * c + 10));
    }
}

fn regression_last_page_of_the_space_leaves_a_lawful_search_address<G: TestGeometry>() {
    let c = chunk::<G>();
    let top = 1 << G::GEOMETRY.page_number_bits();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(top - c, c));
    heap.take(run(top - c, c - 1)).expect("fresh");
    let last = heap.alloc(1).expect("one page is left");
    assert_eq!(last.run, run(top - 1, 1));
    heap.check();
    let above = heap.pages.extend(&mut heap.state, last.run, 1);
    assert_eq!(above, None);
    heap.free(last.run).expect("taken");
    heap.check();
    assert_eq!(heap.alloc(1).map(|taken| taken.run), Some(last.run));
}

/// Taking more and trimming it would lose which of the trimmed pages were scavenged.
fn regression_aligned_run_changes_only_its_own_pages<G: TestGeometry>() {
    let c = chunk::<G>();
    let base = places::<G>(20)[1] * c;
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, 6 * c));
    let first = heap.alloc(c + 1).expect("fresh");
    heap.made_ready(first.run).expect("taken");
    heap.free(run(base + 2, 5)).expect("taken");
    let before = (heap.state.free_pages(), heap.state.scavenged_pages());
    let aligned = heap.alloc_aligned(c + 2, 2 * c).expect("there is room");
    heap.check();
    let after = (heap.state.free_pages(), heap.state.scavenged_pages());
    assert_eq!(before.0 - after.0, c + 2);
    assert_eq!(before.1 - after.1, aligned.scavenged);
    heap.free(aligned.run).expect("taken");
    let undone = (heap.state.free_pages(), heap.state.scavenged_pages());
    assert_eq!(undone, before);
}

/// Zero is a chunk, a page and an address, not "none".
fn regression_chunk_0_and_page_0_are_like_any_other<G: TestGeometry>() {
    let c = chunk::<G>();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(3 * c, c));
    heap.take(run(3 * c, c)).expect("fresh");
    heap.grow(run(0, c));
    heap.check();
    let taken = heap.alloc(1).expect("page 0 is free");
    assert_eq!(taken.run, run(0, 1));
    heap.made_ready(taken.run).expect("taken");
    heap.free(taken.run).expect("taken");
    heap.query(1, 1);
    let ready = heap
        .pages
        .highest_ready(&mut heap.state, run(c, 0).first, 8);
    assert_eq!(ready, Some(run(0, 1)));
    assert_eq!(heap.alloc(1).map(|taken| taken.run), Some(run(0, 1)));
    heap.check();
}

/// Tables between two chunks that are far apart are not made.
fn regression_scattered_chunks_cost_only_their_own_tables<G: TestGeometry>() {
    let all = 1usize << G::GEOMETRY.chunk_number_bits();
    let mut heap = Fixture::<G>::new();
    let scattered = 8;
    for place in 0..scattered {
        heap.grow(run(place * (all / scattered) * chunk::<G>(), chunk::<G>()));
    }
    let levels = Tree::<Shaped<G>>::LEVELS;
    // The root is not made of metadata memory; nodes may be shared.
    let nodes = heap.source.bytes(Purpose::Summaries) / size_of::<TreeNode>();
    assert!(nodes <= scattered * (levels - 1), "{nodes} nodes");
    let bitmaps = size_of::<ChunkBits>();
    let bytes = heap.source.bytes(Purpose::ChunkBitmaps);
    assert_eq!(bytes, scattered * bitmaps);
}

fn regression_counting_skips_what_is_absent<G: TestGeometry>() {
    let all = 1 << G::GEOMETRY.chunk_number_bits();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(0, 1));
    heap.grow(run((all - 1) * chunk::<G>(), chunk::<G>()));
    assert_eq!(heap.pages.chunks(&heap.state).count(), 2);
    heap.check();
}

fn regression_growth_past_the_top_wraps_nowhere<G: TestGeometry>() {
    let c = chunk::<G>();
    let space = 1 << G::GEOMETRY.page_number_bits();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(space - 4 * c, 4 * c));
    assert_eq!(heap.alloc(4 * c + 1), None);
    // Beyond the model's numbers.
    let Fixture { pages, state, .. } = &mut heap;
    assert_eq!(pages.alloc(state, usize::MAX), None);
    assert_eq!(pages.alloc_aligned(state, usize::MAX, 2), None);
    let steepest = 1 << (usize::BITS - 1);
    assert_eq!(pages.alloc_aligned(state, 1, steepest), None);
    assert_eq!(pages.take(state, run(usize::MAX, 3)), None);
    assert!(pages.free(state, run(usize::MAX, 3)).is_err());
    heap.check();
    let all = heap.alloc(4 * c).expect("exactly that many are free");
    let more = heap.pages.extend(&mut heap.state, all.run, usize::MAX);
    assert_eq!(more, None);
    heap.check();
}

fn regression_failed_large_request_hides_nothing_from_small_ones<G: TestGeometry>() {
    let c = chunk::<G>();
    let base = places::<G>(20)[0] * c;
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, c));
    heap.grow(run(base + 2 * c, c));
    assert_eq!(heap.alloc(c + 1), None);
    heap.check();
    assert_eq!(heap.alloc(1).map(|taken| taken.run), Some(run(base, 1)));
    heap.check();
}
