//! Exactness on which no result depends at once: where a search begins, hints, and the bounds of
//! bits and of the space.

use core::sync::atomic::AtomicUsize;

use super::{Fixture, chunk, places, run};
use crate::base::PageIdx;
use crate::page::bits::{Bits, MAX_PAGES, WORD};
use crate::page::tree::Tree;
use crate::testing::{Shaped, TestGeometry};

on_every_geometry! {
    a_search_begins_at_the_lowest_free_page,
    free_pages_are_counted_down_to_the_first_page_of_the_space,
    an_alignment_that_the_space_itself_does_not_have,
    the_highest_free_page_is_found_in_any_chunk,
}

/// Every request begins where the last one ended, in its chunk and in the next. Short chunks are
/// walked from the first.
fn a_search_begins_at_the_lowest_free_page<G: TestGeometry>() {
    if Tree::<Shaped<G>>::SHORT_CHUNKS {
        return;
    }
    let base = places::<G>(4)[1] * chunk::<G>();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, 3 * chunk::<G>()));
    // Some pages of the second chunk are taken, from its first one on.
    heap.take(run(base + chunk::<G>(), 3)).expect("fresh");
    let mut lowest = base;
    while heap.alloc(1).is_some() {
        assert!(heap.state.search() >= Some(PageIdx(lowest)), "{lowest:#x}");
        lowest += 1;
        if lowest == base + chunk::<G>() {
            lowest += 3;
        }
    }
    assert_eq!(lowest, base + 3 * chunk::<G>());
    assert_eq!(heap.state.search(), None);
    heap.check();
}

fn free_pages_are_counted_down_to_the_first_page_of_the_space<G: TestGeometry>() {
    let mut heap = Fixture::<G>::new();
    heap.grow(run(0, chunk::<G>()));
    for page in [1, 5, chunk::<G>()] {
        heap.query(page, page);
        heap.query(page, page + 1);
        heap.query(page, 2 * page + chunk::<G>());
    }
}

/// The base of the space is a multiple of fewer bytes than the alignment.
fn an_alignment_that_the_space_itself_does_not_have<G: TestGeometry>() {
    let base = G::GEOMETRY.base >> G::GEOMETRY.page_shift;
    let space = 1 << G::GEOMETRY.page_number_bits();
    let first = base & base.wrapping_neg();
    if first == 0 || first >= space {
        return;
    }
    let mut heap = Fixture::<G>::new();
    heap.grow(run(first - 3, 10));
    let taken = heap.alloc_aligned(2, 2 * first).expect("there is room");
    assert_eq!(taken.run, run(first, 2));
    heap.check();
}

/// In chunks far apart, so that the tree has several levels, and in neighbours.
fn the_highest_free_page_is_found_in_any_chunk<G: TestGeometry>() {
    let base = places::<G>(20)[1] * chunk::<G>();
    let mut heap = Fixture::<G>::new();
    assert_eq!(heap.pages.highest_free(&heap.state), None);
    for first in [base, base + 2 * chunk::<G>(), base + 19 * chunk::<G>()] {
        heap.grow(run(first, chunk::<G>()));
        let last = first + chunk::<G>() - 1;
        let highest = heap.pages.highest_free(&heap.state);
        assert_eq!(highest, Some(PageIdx(last)));
    }
    while let Some(page) = heap.pages.highest_free(&heap.state) {
        let free = heap.model.iter().rev().find(|(_, page)| page.free);
        assert_eq!(free.map(|(page, _)| *page), Some(page.0));
        // Every third one, and then all below it in its chunk.
        let count = if page.0 % 3 == 0 {
            1 + page.0 % chunk::<G>()
        } else {
            1
        };
        heap.take(run(page.0 + 1 - count, count)).expect("free");
    }
    assert_eq!(heap.state.free_pages(), 0);
}

#[test]
fn bits_past_a_short_chunk_are_noticed() {
    let words = [const { AtomicUsize::new(0) }; MAX_PAGES / WORD];
    Bits::new(&words, WORD).set(16, 1);
    assert!(Bits::new(&words, 17).unused_are_clear());
    assert!(!Bits::new(&words, 16).unused_are_clear());
}
