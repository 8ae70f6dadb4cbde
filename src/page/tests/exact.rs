//! Exactness on which no result depends at once: where a search begins, hints, and the bounds of
//! bits and of the space.

use core::sync::atomic::AtomicUsize;

use super::{Fixture, chunk, places, run};
use crate::base::PageIdx;
use crate::page::bits::{Bits, MAX_PAGES, WORD};
use crate::page::cache::BLOCK_PAGES;
use crate::page::tree::Tree;
use crate::testing::{Shaped, TestGeometry};

on_every_geometry! {
    a_search_begins_at_the_lowest_free_page,
    a_search_begins_above_pages_that_are_cached,
    pages_that_were_cached_are_found_by_their_memory,
    free_pages_are_counted_down_to_the_first_page_of_the_space,
    an_alignment_that_the_space_itself_does_not_have,
    a_cache_holds_the_pages_that_are_left,
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

fn a_search_begins_above_pages_that_are_cached<G: TestGeometry>() {
    let base = places::<G>(4)[1] * chunk::<G>();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, 2 * chunk::<G>()));
    let cached = heap.fill_cache();
    assert!(heap.state.search() >= Some(PageIdx(base + cached - 1)));
    heap.take(run(base + cached, 2 * chunk::<G>() - cached))
        .expect("fresh");
    heap.check();
    assert!(heap.pages.fill_cache(&mut heap.state).is_none());
    assert_eq!(heap.state.search(), None);
}

/// Where nothing was found, nobody looks again, unless pages of a cache come back.
fn pages_that_were_cached_are_found_by_their_memory<G: TestGeometry>() {
    let base = places::<G>(4)[1] * chunk::<G>();
    let end = base + chunk::<G>();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, chunk::<G>()));
    heap.take(run(base, chunk::<G>())).expect("fresh");
    heap.made_ready(run(base, chunk::<G>())).expect("taken");
    heap.free(run(base, 2)).expect("taken");
    assert_eq!(heap.fill_cache(), 2);
    heap.query(end, 1);
    heap.flush_cache();
    heap.check();
    heap.query(end, 1);
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

fn a_cache_holds_the_pages_that_are_left<G: TestGeometry>() {
    let block = BLOCK_PAGES.min(chunk::<G>());
    let base = places::<G>(4)[1] * chunk::<G>();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, 2 * chunk::<G>()));
    assert_eq!(heap.fill_cache(), block);
    heap.cache_alloc(3).expect("it is full");
    for (first, count, holds) in [
        (base - 1, 4, false),
        (base + 2, 2, true),
        (base + 3, 1, true),
        (base + block - 1, 5, true),
        (base + block, 5, false),
    ] {
        assert_eq!(heap.cache.holds_any(run(first, count)), holds, "{first:#x}");
    }
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
