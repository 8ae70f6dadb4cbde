//! Pages that leave a page cache to be made Ready ahead, and come back to it.

use super::model::Fixture;
use super::{chunk, places, run};
use crate::base::PageIdx;
use crate::page::cache::BLOCK_PAGES;
use crate::testing::TestGeometry;

on_every_geometry! {
    scavenged_pages_are_taken_from_a_page_up,
    a_whole_block_is_taken,
    pages_come_back_to_the_block_that_is_cached,
    pages_of_another_block_do_not,
}

/// The pages of a cache, and its first page. The fifth page after that is Ready.
fn cached<G: TestGeometry>() -> (Fixture<G>, usize, usize) {
    let base = places::<G>(4)[1] * chunk::<G>();
    let mut heap = Fixture::<G>::new();
    let all = run(base, 2 * chunk::<G>());
    heap.grow(all);
    heap.take(all).expect("fresh");
    heap.made_ready(run(base + 5, 1)).expect("taken");
    heap.free(all).expect("taken");
    let count = heap.fill_cache();
    assert_eq!(count, BLOCK_PAGES.min(chunk::<G>()));
    (heap, base, count)
}

fn scavenged_pages_are_taken_from_a_page_up<G: TestGeometry>() {
    let (mut heap, base, count) = cached::<G>();
    let before = |heap: &Fixture<G>| (heap.cache.pages(), heap.cache.scavenged_pages());
    assert_eq!(before(&heap), (count, count - 1));
    for (from, most) in [
        (base + 1, 0),
        // It has memory.
        (base + 5, 3),
        // Not of the block.
        (base.wrapping_sub(1), 3),
        (base + BLOCK_PAGES, 3),
        (base + count, 3),
    ] {
        assert_eq!(heap.cache.take_scavenged(PageIdx(from), most), 0);
        assert_eq!(before(&heap), (count, count - 1));
    }
    // Up to the page that has memory.
    assert_eq!(heap.cache.take_scavenged(PageIdx(base + 1), 10), 4);
    assert_eq!(before(&heap), (count - 4, count - 5));
    // As many as were asked for.
    assert_eq!(heap.cache.take_scavenged(PageIdx(base + 6), 2), 2);
    assert_eq!(heap.cache.take_scavenged(PageIdx(base + 6), 2), 0);
    // Up to the end of the block.
    let last = PageIdx(base + count - 1);
    assert_eq!(heap.cache.take_scavenged(last, 5), 1);
    assert_eq!(before(&heap), (count - 7, count - 8));
    let is_left = |page: usize| heap.cache.holds(PageIdx(base + page));
    for page in 0..count {
        let is_taken = [1, 2, 3, 4, 6, 7, count - 1].contains(&page);
        assert_eq!(is_left(page), !is_taken, "{page}");
    }
    heap.flush_cache();
    heap.check();
}

fn a_whole_block_is_taken<G: TestGeometry>() {
    let base = places::<G>(4)[1] * chunk::<G>();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, 2 * chunk::<G>()));
    let count = heap.fill_cache();
    let taken = heap.cache.take_scavenged(PageIdx(base), usize::MAX);
    assert_eq!(taken, count);
    assert!(heap.cache.is_empty() && heap.cache.scavenged_pages() == 0);
    heap.flush_cache();
    heap.check();
}

fn pages_come_back_to_the_block_that_is_cached<G: TestGeometry>() {
    let (mut heap, base, count) = cached::<G>();
    for (from, pages) in [(1, 4), (count - 2, 2), (count - 1, 1)] {
        let above = run(base + from, pages);
        let taken = heap.cache.take_scavenged(above.first, pages);
        // The last one came back with memory before.
        let is_scavenged = from < count - 1;
        assert_eq!(taken, if is_scavenged { pages } else { 0 });
        if !is_scavenged {
            continue;
        }
        heap.made_ready(above).expect("taken");
        let scavenged = heap.cache.scavenged_pages();
        assert!(heap.cache.put_back(above));
        assert_eq!(heap.cache.scavenged_pages(), scavenged);
        for page in above.first.0..above.end().0 {
            assert!(heap.cache.holds(PageIdx(page)));
            assert!(!heap.cache.is_scavenged(PageIdx(page)));
        }
    }
    assert_eq!(heap.cache.pages(), count);
    // They are handed out as pages with memory, together with those beside.
    let taken = heap.cache_alloc(6).expect("all are left");
    assert_eq!((taken.run, taken.scavenged), (run(base, 6), 1));
    heap.flush_cache();
    heap.check();
}

fn pages_of_another_block_do_not<G: TestGeometry>() {
    let (mut heap, base, count) = cached::<G>();
    let end = run(base + count - 1, 1);
    assert_eq!(heap.cache.take_scavenged(end.first, 1), 1);
    let before = heap.cache.pages();
    for (first, pages) in [
        (base.wrapping_sub(1), 1),
        (base + BLOCK_PAGES, 1),
        (base + BLOCK_PAGES - 1, 2),
        (base + count - 1, 0),
    ] {
        assert!(!heap.cache.put_back(run(first, pages)), "{first:#x}");
        assert_eq!(heap.cache.pages(), before);
    }
    // A cache without pages may be of any block.
    while heap.cache_alloc(1).is_some() {}
    assert!(!heap.cache.put_back(end));
    assert!(heap.cache.is_empty());
    heap.check();
}
