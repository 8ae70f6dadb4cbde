//! Short runs: where their searches begin, runs in one word and over its bounds, and pages that are
//! taken above a run to be made Ready with it.

use super::{Fixture, chunk, places, run};
use crate::base::PageIdx;
use crate::page::bits::WORD;
use crate::page::tree::Tree;
use crate::testing::{Shaped, TestGeometry};

on_every_geometry! {
    runs_are_taken_and_freed_wherever_they_lie_in_words,
    a_search_begins_above_the_last_run_of_as_many_pages,
    a_run_that_becomes_longer_is_found_again,
    a_run_over_the_bounds_of_chunks_is_found_again,
    a_search_that_found_nothing_finds_what_became_free,
    scavenged_pages_are_taken_from_a_page_up,
    a_page_that_was_not_taken_is_no_part_of_a_free,
}

/// Two chunks in the middle of the space, all taken and Ready.
fn taken<G: TestGeometry>() -> (Fixture<G>, usize) {
    let base = places::<G>(4)[1] * chunk::<G>();
    let mut heap = Fixture::<G>::new();
    let all = run(base, 2 * chunk::<G>());
    heap.grow(all);
    heap.take(all).expect("fresh");
    heap.made_ready(all).expect("taken");
    (heap, base)
}

fn runs_are_taken_and_freed_wherever_they_lie_in_words<G: TestGeometry>() {
    let (mut heap, base) = taken::<G>();
    let ends = [0, 1, WORD - 2, WORD - 1, WORD, WORD + 1, chunk::<G>() - 2];
    for first in ends
        .into_iter()
        .filter(|first| first + 9 < 2 * chunk::<G>())
    {
        for count in [1, 2, 3, 8, 9] {
            let asked = run(base + first, count);
            heap.free(asked).expect("taken");
            heap.check();
            assert_eq!(heap.alloc(count + 1), None);
            let found = heap.alloc(count).expect("free");
            assert_eq!((found.run, found.scavenged), (asked, 0));
            heap.check();
            assert_eq!(heap.alloc(count), None);
        }
    }
}

fn a_search_begins_above_the_last_run_of_as_many_pages<G: TestGeometry>() {
    if Tree::<Shaped<G>>::SHORT_CHUNKS {
        return;
    }
    let (mut heap, base) = taken::<G>();
    for hole in 0..8 {
        heap.free(run(base + 4 * hole, 1 + hole % 3))
            .expect("taken");
    }
    heap.check();
    // Pages of the holes, from the first on: 1, 2, 3, 1, 2, 3, 1, 2.
    let found = |heap: &mut Fixture<G>, count| heap.alloc(count).map(|taken| taken.run);
    assert_eq!(found(&mut heap, 3), Some(run(base + 8, 3)));
    assert_eq!(heap.state.search_for(3), Some(PageIdx(base + 11)));
    assert_eq!(heap.state.search_for(8), Some(PageIdx(base + 11)));
    assert_eq!(found(&mut heap, 2), Some(run(base + 4, 2)));
    assert_eq!(heap.state.search_for(2), Some(PageIdx(base + 6)));
    assert_eq!(heap.state.search_for(3), Some(PageIdx(base + 11)));
    assert_eq!(found(&mut heap, 2), Some(run(base + 16, 2)));
    assert_eq!(found(&mut heap, 4), None);
    for longer in [4, 8, 9, 100] {
        assert_eq!(heap.state.search_for(longer), None, "{longer}");
    }
    // The pages of the lowest holes are found by those who want one.
    assert_eq!(heap.state.search_for(1), heap.state.search());
    assert_eq!(found(&mut heap, 1), Some(run(base, 1)));
    heap.check();
}

fn a_run_that_becomes_longer_is_found_again<G: TestGeometry>() {
    let (mut heap, base) = taken::<G>();
    let at = base + chunk::<G>() / 2;
    // From below, from above, and in between.
    for parts in [[0, 1, 2], [2, 1, 0], [0, 2, 1]] {
        for part in parts {
            assert_eq!(heap.alloc(3), None);
            heap.free(run(at + part, 1)).expect("taken");
            heap.check();
        }
        assert_eq!(heap.alloc(3).map(|taken| taken.run), Some(run(at, 3)));
        heap.check();
    }
}

fn a_run_over_the_bounds_of_chunks_is_found_again<G: TestGeometry>() {
    let (mut heap, base) = taken::<G>();
    let at = base + chunk::<G>() - 2;
    for parts in [[0, 2], [2, 0]] {
        for part in parts {
            assert_eq!(heap.alloc(4), None);
            heap.free(run(at + part, 2)).expect("taken");
            heap.check();
        }
        assert_eq!(heap.alloc(4).map(|taken| taken.run), Some(run(at, 4)));
        heap.check();
    }
}

fn a_search_that_found_nothing_finds_what_became_free<G: TestGeometry>() {
    let (mut heap, base) = taken::<G>();
    for count in (1..10).rev() {
        assert_eq!(heap.alloc(count), None);
    }
    heap.free(run(base + 1, 9)).expect("taken");
    for count in [2, 3, 4] {
        assert!(heap.alloc(count).is_some(), "{count}");
        heap.check();
    }
    assert_eq!(heap.alloc(1), None);
    // Fresh pages are found, too.
    heap.grow(run(base + 2 * chunk::<G>(), chunk::<G>()));
    let fresh = heap.alloc(2).expect("there are many");
    assert_eq!(fresh.run, run(base + 2 * chunk::<G>(), 2));
    assert_eq!(fresh.scavenged, 2);
    heap.check();
}

fn scavenged_pages_are_taken_from_a_page_up<G: TestGeometry>() {
    let (mut heap, base) = taken::<G>();
    let mut end = WORD.min(chunk::<G>());
    heap.set_scavenged(run(base + 1, end)).expect("taken");
    heap.made_ready(run(base + 5, 1)).expect("taken");
    heap.free(run(base + 1, end)).expect("taken");
    assert_eq!(heap.take_scavenged(base + 1, 0), 0);
    // Up to the page that has memory, as many as were asked for, up to the end of a word.
    assert_eq!(heap.take_scavenged(base + 1, 10), 4);
    assert_eq!(heap.take_scavenged(base + 5, 3), 0);
    heap.take(run(base + 5, 1)).expect("free");
    assert_eq!(heap.take_scavenged(base + 6, 2), 2);
    assert_eq!(heap.take_scavenged(base + 8, usize::MAX >> 1), end - 8);
    heap.check();
    if chunk::<G>() > WORD {
        end += 1;
    }
    // What is not the heap's is not taken.
    assert_eq!(heap.take_scavenged(base + 3 * chunk::<G>(), 3), 0);
    assert_eq!(
        heap.take_scavenged(base + end, 3),
        usize::from(chunk::<G>() <= WORD)
    );
    heap.check();
}

fn a_page_that_was_not_taken_is_no_part_of_a_free<G: TestGeometry>() {
    let (mut heap, base) = taken::<G>();
    heap.free(run(base + 3, 1)).expect("taken");
    for (first, count) in [(2, 2), (3, 1), (3, 2), (1, 5), (0, 0)] {
        heap.free(run(base + first, count))
            .expect_err("a page of it is free, or there is none");
        heap.check();
    }
    heap.free(run(base - 1, 1)).expect_err("not owned");
    heap.free(run(base - 1, 2)).expect_err("owned in part");
    heap.free(run(base + 2 * chunk::<G>() - 1, 2))
        .expect_err("owned in part");
    heap.check();
}
