//! Ranges against a set of pages, and at the limits of their array.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use fastrand::Rng;

use super::damage::RangesCorruption;
use super::*;
use crate::region::{Purpose, Source};
use crate::testing::{HostSource, top_up};

fn run(first: usize, count: usize) -> PageRun {
    PageRun::new(PageIdx(first), count)
}

/// Adds with room made before, as the heap does it.
fn add(ranges: &mut Ranges, source: &mut HostSource, run: PageRun) {
    top_up(ranges, source);
    ranges.add(run).expect("disjoint, and there is room");
    ranges.verify().expect("ranges hold after an add");
}

fn list(ranges: &Ranges) -> Vec<(usize, usize)> {
    ranges.iter().map(|run| (run.first.0, run.count)).collect()
}

/// The maximal runs of a set of pages.
fn runs_of(pages: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == *page => *count += 1,
            _ => runs.push((*page, 1)),
        }
    }
    runs
}

#[test]
fn regression_range_array_growth_16_to_17() {
    for total in [17, 33] {
        let ascending: Vec<usize> = (0..total).collect();
        let descending: Vec<usize> = (0..total).rev().collect();
        let inward: Vec<usize> = (0..total)
            .map(|i| if i % 2 == 0 { i / 2 } else { total - 1 - i / 2 })
            .collect();
        for order in [ascending, descending, inward] {
            let mut ranges = Ranges::new();
            let mut source = HostSource::default();
            for place in order {
                add(&mut ranges, &mut source, run(place * 10, 3));
            }
            let wanted: Vec<_> = (0..total).map(|place| (place * 10, 3)).collect();
            assert_eq!(list(&ranges), wanted);
            assert_eq!(ranges.capacity(), total.next_power_of_two());
        }
    }
}

#[test]
fn regression_empty_range_is_rejected() {
    let mut ranges = Ranges::new();
    let mut source = HostSource::default();
    add(&mut ranges, &mut source, run(10, 5));
    for empty in [run(0, 0), run(12, 0), run(15, 0), run(100, 0)] {
        assert_eq!(ranges.add(empty), Err(RangesError::Empty));
        assert_eq!(ranges.remove(empty), Err(RangesError::Empty));
        assert!(!ranges.contains_run(empty));
    }
    assert_eq!(list(&ranges), [(10, 5)]);
}

#[test]
fn regression_removal_from_a_range_that_touches_the_top() {
    // The last page of a 31-bit space in pages of 4 KiB, and of the widest number that there is.
    for top in [1 << 19, usize::MAX] {
        let mut ranges = Ranges::new();
        let mut source = HostSource::default();
        add(&mut ranges, &mut source, run(top - 100, 100));
        add(&mut ranges, &mut source, run(top - 300, 100));
        assert!(ranges.contains(PageIdx(top - 1)));
        assert!(!ranges.contains(PageIdx(top)));
        assert_eq!(ranges.find_at_or_above(PageIdx(top)), None);
        assert_eq!(ranges.remove_from(PageIdx(top)), 0);
        assert_eq!(ranges.remove_from(PageIdx(top - 1)), 1);
        assert_eq!(ranges.remove_from(PageIdx(top - 60)), 59);
        assert_eq!(list(&ranges), [(top - 300, 100), (top - 100, 40)]);
        assert_eq!(ranges.remove_from(PageIdx(top - 250)), 90);
        assert_eq!(ranges.remove_from(PageIdx(0)), 50);
        assert_eq!((ranges.len(), ranges.total_pages()), (0, 0));
    }
}

#[test]
fn a_list_without_ranges_answers_everything() {
    let mut ranges = Ranges::new();
    assert_eq!(ranges.last(), None);
    assert_eq!(ranges.find_succ(PageIdx(7)), 0);
    assert_eq!(ranges.find_at_or_above(PageIdx(7)), None);
    assert!(!ranges.contains(PageIdx(0)));
    assert_eq!(ranges.remove_last(4), None);
    assert_eq!(ranges.remove_from(PageIdx(0)), 0);
    assert_eq!(ranges.remove(run(0, 1)), Err(RangesError::NotHeld));
    assert_eq!(ranges.add(run(0, 1)), Err(RangesError::NoRoom));
    assert_eq!(ranges.iter().count(), 0);
    assert_eq!(ranges.verify(), Ok(()));
}

#[test]
fn successors_are_found_around_every_bound() {
    let mut ranges = Ranges::new();
    let mut source = HostSource::default();
    for place in 0..100 {
        add(&mut ranges, &mut source, run(5 + 5 * place, 3));
    }
    for page in (0..520).step_by(if cfg!(miri) { 13 } else { 1 }) {
        let by_scan = ranges.iter().filter(|run| run.first.0 <= page).count();
        assert_eq!(ranges.find_succ(PageIdx(page)), by_scan, "page {page}");
    }
    assert_eq!(ranges.find_succ(PageIdx(usize::MAX)), 100);
}

#[test]
fn a_full_array_refuses_what_needs_a_slot_and_nothing_else() {
    let mut ranges = Ranges::new();
    let mut source = HostSource::default();
    for place in 0..FIRST_CAPACITY {
        add(&mut ranges, &mut source, run(place * 10, 4));
    }
    let before = list(&ranges);
    assert_eq!(ranges.add(run(6, 1)), Err(RangesError::NoRoom));
    assert_eq!(ranges.remove(run(1, 1)), Err(RangesError::NoRoom));
    assert_eq!(list(&ranges), before);
    assert_eq!(ranges.add(run(4, 6)), Ok(()), "joins two ranges");
    assert_eq!(ranges.remove(run(1, 1)), Ok(()), "a slot has come free");
    assert_eq!(ranges.verify(), Ok(()));
}

#[test]
fn an_outgrown_array_comes_back_zeroed_and_a_small_one_at_once() {
    let mut ranges = Ranges::new();
    let mut source = HostSource::default();
    let mut take = |slots| source.take(Purpose::Ranges, slots, align_of::<Slot>());
    assert_eq!(ranges.needs_room(1), Some(FIRST_CAPACITY));
    let first = take(FIRST_CAPACITY).expect("memory");
    assert!(ranges.adopt(first).is_none(), "there was no array before");
    for place in 0..FIRST_CAPACITY {
        assert_eq!(ranges.needs_room(1), None);
        ranges.add(run(place * 10, 4)).expect("there is room");
    }
    let before = list(&ranges);
    assert_eq!(ranges.needs_room(1), Some(2 * FIRST_CAPACITY));
    let second = take(2 * FIRST_CAPACITY).expect("memory");
    let old = ranges.adopt(second).expect("the first array");
    let old = old.into_slice();
    assert_eq!(old.len(), FIRST_CAPACITY);
    assert!(old.iter().all(|slot| read(slot) == run(0, 0)));
    let late = take(FIRST_CAPACITY).expect("memory");
    let late = ranges.adopt(late).expect("the array that is too small");
    assert_eq!(late.into_slice().len(), FIRST_CAPACITY);
    assert_eq!(list(&ranges), before);
}

#[test]
fn a_set_of_pages_is_what_ranges_are() {
    let rounds = if cfg!(miri) { 2 } else { 40 };
    for seed in 0..rounds {
        let mut random = Rng::with_seed(seed);
        let mut pages = BTreeSet::new();
        let mut ranges = Ranges::new();
        let mut source = HostSource::default();
        for _ in 0..if cfg!(miri) { 60 } else { 600 } {
            change(&mut random, &mut pages, &mut ranges, &mut source);
            assert_eq!(ranges.verify(), Ok(()));
            assert_eq!(list(&ranges), runs_of(&pages));
            assert_eq!(ranges.total_pages(), pages.len());
            let page = random.usize(..420);
            let above = ranges.find_at_or_above(PageIdx(page));
            assert_eq!(
                above.map(|page| page.0),
                pages.range(page..).next().copied()
            );
            assert_eq!(ranges.contains(PageIdx(page)), pages.contains(&page));
        }
    }
}

/// One random change to the set and to the ranges.
fn change(
    random: &mut Rng,
    pages: &mut BTreeSet<usize>,
    ranges: &mut Ranges,
    source: &mut HostSource,
) {
    let first = random.usize(..400);
    let picked = run(first, 1 + random.usize(..6));
    let mut numbers = picked.first.0..picked.end().0;
    top_up(ranges, source);
    match random.usize(..16) {
        0..=8 => {
            let wanted = if numbers.any(|page| pages.contains(&page)) {
                Err(RangesError::Overlap)
            } else {
                Ok(())
            };
            assert_eq!(ranges.add(picked), wanted);
            if wanted.is_ok() {
                pages.extend(picked.first.0..picked.end().0);
            }
        }
        9..=13 => {
            let held = numbers.all(|page| pages.contains(&page));
            assert_eq!(ranges.contains_run(picked), held);
            let wanted = if held {
                Ok(())
            } else {
                Err(RangesError::NotHeld)
            };
            assert_eq!(ranges.remove(picked), wanted);
            if held {
                pages.retain(|page| !picked.contains(PageIdx(*page)));
            }
        }
        14 => {
            let page = 350 + random.usize(..100);
            let removed = ranges.remove_from(PageIdx(page));
            assert_eq!(removed, pages.split_off(&page).len());
        }
        _ => {
            let wanted = runs_of(pages).last().map(|(first, count)| {
                let removed = picked.count.min(*count);
                run(first + count - removed, removed)
            });
            assert_eq!(ranges.remove_last(picked.count), wanted);
            if let Some(removed) = wanted {
                pages.retain(|page| !removed.contains(PageIdx(*page)));
            }
        }
    }
}

#[test]
fn the_order_of_adding_does_not_matter() {
    let mut random = Rng::with_seed(5);
    let mut pieces: Vec<PageRun> = (0..40).map(|place| run(place * 3, 2 + place % 2)).collect();
    let mut lists = BTreeSet::new();
    for _ in 0..if cfg!(miri) { 3 } else { 50 } {
        random.shuffle(&mut pieces);
        let mut ranges = Ranges::new();
        let mut source = HostSource::default();
        for piece in &pieces {
            add(&mut ranges, &mut source, *piece);
        }
        lists.insert(list(&ranges));
    }
    assert_eq!(lists.len(), 1);
}

#[test]
fn planted_corruptions_are_named() {
    for (corruption, name) in [
        (RangesCorruption::Empty, "a range is empty"),
        (
            RangesCorruption::OutOfOrder,
            "ranges overlap or are out of order",
        ),
        (
            RangesCorruption::NotJoined,
            "neighbouring ranges are not joined",
        ),
        (
            RangesCorruption::Total,
            "page total of the ranges differs from their sum",
        ),
        (RangesCorruption::Overfull, "more ranges than slots"),
    ] {
        let mut ranges = Ranges::new();
        let mut source = HostSource::default();
        add(&mut ranges, &mut source, run(10, 5));
        add(&mut ranges, &mut source, run(20, 5));
        ranges.corrupt(corruption);
        assert_eq!(ranges.verify(), Err(name));
    }
}
