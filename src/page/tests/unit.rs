//! Bitmaps and summaries against slow ones, and the tables that growth needs.

use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;

use fastrand::Rng;

use super::{Fixture, chunk, places, run};
use crate::page::bits::{Bits, MAX_PAGES, WORD, run_starts};
use crate::page::state::PagesError;
use crate::page::summary::{self, Summary, Value};
use crate::region::ranges::RangesError;
use crate::region::{Cause, Purpose};
use crate::testing::TestGeometry;

on_every_geometry! {
    a_refused_table_changes_nothing,
    growth_that_cannot_be_is_refused,
    an_empty_heap_answers_everything,
    the_order_of_frees_does_not_matter,
}

/// Bits that are set and clear in runs of all lengths.
fn pattern(random: &mut Rng, pages: usize) -> Vec<bool> {
    let mut bits = Vec::new();
    let longest = 1 + random.usize(..pages);
    let mut set = random.usize(..2) == 0;
    while bits.len() < pages {
        let count = 1 + random.usize(..longest);
        bits.resize(pages.min(bits.len() + count), set);
        set = !set;
    }
    bits
}

fn slow_summary(bits: &[bool]) -> Summary {
    let start = bits.iter().take_while(|bit| **bit).count();
    let end = bits.iter().rev().take_while(|bit| **bit).count();
    let runs = bits.split(|bit| !bit).map(<[bool]>::len);
    let max = runs.max().unwrap_or(0);
    Summary { start, max, end }
}

#[test]
fn bitmaps_answer_as_a_list_of_bools_does() {
    let mut random = Rng::with_seed(1);
    for pages in [2, 16, 32, 64, 128, 256, 512] {
        for _ in 0..if cfg!(miri) { 2 } else { 200 } {
            let list = pattern(&mut random, pages);
            let words = [const { AtomicUsize::new(0) }; MAX_PAGES / WORD];
            let bits = Bits::new(&words, pages);
            for (page, _) in list.iter().enumerate().filter(|(_, bit)| **bit) {
                bits.set(page, 1);
            }
            compare_bits(&mut random, bits, &list);
        }
    }
}

fn compare_bits(random: &mut Rng, bits: Bits<'_>, list: &[bool]) {
    assert_eq!(bits.summary(), slow_summary(list));
    for _ in 0..10 {
        let first = random.usize(..list.len());
        let count = 1 + random.usize(..list.len() - first);
        let part = &list[first..first + count];
        let ones = part.iter().filter(|bit| **bit).count();
        assert_eq!(bits.count(first, count), ones);
        assert_eq!(bits.all_are(true, first, count), ones == count);
        assert_eq!(bits.all_are(false, first, count), ones == 0);
        let above = list[first..].iter().take_while(|bit| **bit).count();
        assert_eq!(bits.run_above(first), above);
        let below = list[..first].iter().rev().take_while(|bit| **bit).count();
        assert_eq!(bits.run_below(first), below);
        let size = 1 + random.usize(..20);
        let fits = |start: &usize| list[*start..].iter().take(size).filter(|bit| **bit).count();
        let found = (first..list.len()).find(|start| fits(start) == size);
        assert_eq!(bits.find(size, first).map(|found| found.first), found);
        // Of the bits below one that is clear.
        let end = (first + count..list.len()).find(|at| !list[*at]);
        let end = end.unwrap_or(list.len());
        let runs = list[first..end].split(|bit| !bit).map(<[bool]>::len);
        let longest = runs.max().unwrap_or(0);
        for known in [0, 1, longest.saturating_sub(1), longest, longest + 1] {
            let wanted = longest.max(known);
            // Bits above, of the same word, may be seen.
            let most = bits.longest(first..end, known, usize::MAX);
            let reach = list.len().min(end.next_multiple_of(WORD));
            let runs = list[first..reach].split(|bit| !bit).map(<[bool]>::len);
            assert!(most >= wanted && most <= known.max(runs.max().unwrap_or(0)));
            let few = bits.longest(first..end, known, known);
            assert_eq!(few, known, "no more than that was asked for");
        }
    }
    assert!(bits.unused_are_clear());
}

#[test]
fn setting_and_clearing_touch_nothing_else() {
    for pages in [2, 16, 64, 512] {
        let bounds = [0, 1, pages / 2, pages - 1, pages];
        for first in bounds {
            for end in bounds.into_iter().filter(|end| *end >= first) {
                let words = [const { AtomicUsize::new(0) }; MAX_PAGES / WORD];
                let bits = Bits::new(&words, pages);
                bits.set(first, end - first);
                let inside = |page: usize| page >= first && page < end;
                assert!((0..pages).all(|page| (bits.count(page, 1) == 1) == inside(page)));
                bits.set(0, pages);
                bits.clear(first, end - first);
                assert!((0..pages).all(|page| (bits.count(page, 1) == 0) == inside(page)));
                assert!(bits.unused_are_clear());
            }
        }
    }
}

#[test]
fn runs_of_ones_are_found_in_words() {
    for (word, count, starts) in [
        (0x8000_0000, 1, 0x8000_0000),
        (0xc100_0101, 2, 0x4000_0000),
        (0xc103_0103, 2, 0x4001_0001),
        (0xe003_0007, 3, 0x2000_0001),
        (0xffff_07ff, 11, 0x003f_0001),
        (0x0fff_9fff, 13, 0x0000_8001),
        (0x0fff_9fff, 16, 0),
    ] {
        assert_eq!(run_starts(word, count), starts, "{word:#x}, {count}");
    }
    for count in 1..=WORD {
        assert_eq!(run_starts(usize::MAX, count), usize::MAX >> (count - 1));
        assert_eq!(run_starts(0, count), 0);
        assert_eq!(run_starts(usize::MAX >> 1, count) != 0, count < WORD);
    }
    assert_eq!(run_starts(usize::MAX, WORD + 1), 0);
}

#[test]
fn merged_summaries_are_those_of_all_pages_together() {
    let mut random = Rng::with_seed(3);
    let pages = 1 << 6;
    for _ in 0..if cfg!(miri) { 5 } else { 2_000 } {
        let mut all = Vec::new();
        let children: [Value; 8] = core::array::from_fn(|_| {
            let list = match random.usize(..4) {
                0 => alloc::vec![true; pages],
                1 => alloc::vec![false; pages],
                _ => pattern(&mut random, pages),
            };
            let value = Value::default();
            summary::store(&value, slow_summary(&list));
            all.extend(list);
            value
        });
        assert_eq!(summary::merge(&children, 6), slow_summary(&all));
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn counts_beyond_32_bits_saturate_and_make_up_no_run() {
    let shift = 33;
    let child = 1 << shift;
    let value = Value::default();
    let full = Summary {
        start: child,
        max: child,
        end: child,
    };
    assert!(summary::store(&value, full));
    let stored = summary::load(&value);
    assert_eq!(stored.max, u32::MAX as usize);
    let children = core::array::from_fn(|_| {
        let value = Value::default();
        summary::store(&value, full);
        value
    });
    let merged = summary::merge(&children, shift);
    assert!(merged.max >= stored.max && merged.max <= 8 * child);
    assert!(
        merged.start <= child,
        "a child that saturates does not count as free throughout"
    );
}

/// A refusal of the n-th request for memory, for every n, changes nothing that can be seen.
fn a_refused_table_changes_nothing<G: TestGeometry>() {
    let base = places::<G>(20)[1] * chunk::<G>();
    let wanted = run(base + 7 * chunk::<G>() + 1, 2 * chunk::<G>());
    for served in 0.. {
        let mut heap = Fixture::<G>::new();
        heap.grow(run(base, chunk::<G>() / 2));
        heap.source.refuse_after(served);
        let ensured = heap.pages.ensure(wanted, &mut heap.source);
        heap.check();
        let Err(cause) = ensured else {
            assert!(served > 2, "the chunks need at least their bitmaps");
            return;
        };
        assert!(matches!(cause, Cause::Frames { .. }));
        let grown = heap.pages.grow(&mut heap.state, wanted);
        assert_eq!(grown, Err(PagesError::NotEnsured));
        heap.check();
        let held = |heap: &Fixture<G>| {
            [Purpose::Summaries, Purpose::ChunkBitmaps].map(|purpose| heap.source.bytes(purpose))
        };
        let before = held(&heap);
        for _ in 0..10 {
            heap.source.refuse_after(0);
            let again = heap.pages.ensure(wanted, &mut heap.source);
            assert!(again.is_err());
        }
        assert_eq!(held(&heap), before, "a second failure keeps no more memory");
        heap.grow(wanted);
        heap.check();
        assert!(heap.alloc(2 * chunk::<G>()).is_some());
        let requests = heap.source.requests();
        heap.pages
            .ensure(wanted, &mut heap.source)
            .expect("all is there");
        assert_eq!(heap.source.requests(), requests, "nothing is made twice");
    }
}

fn growth_that_cannot_be_is_refused<G: TestGeometry>() {
    let space = 1 << G::GEOMETRY.page_number_bits();
    let mut heap = Fixture::<G>::new();
    heap.grow(run(space - 1, 1));
    let grow = |heap: &mut Fixture<G>, run| heap.pages.grow(&mut heap.state, run);
    for outside in [
        run(space - 1, 0),
        run(space - 1, 2),
        run(space, 1),
        run(usize::MAX, 1),
        run(1, usize::MAX),
    ] {
        assert_eq!(grow(&mut heap, outside), Err(PagesError::OutsideSpace));
    }
    let twice = grow(&mut heap, run(space - 2, 2));
    assert_eq!(twice, Err(PagesError::Ranges(RangesError::Overlap)));
    assert_eq!(grow(&mut heap, run(0, 1)), Err(PagesError::NotEnsured));
    heap.check();
}

fn an_empty_heap_answers_everything<G: TestGeometry>() {
    let mut heap = Fixture::<G>::new();
    assert_eq!(heap.alloc(0), None);
    assert_eq!(heap.alloc(1), None);
    assert_eq!(heap.alloc_aligned(1, 4), None);
    assert_eq!(heap.alloc_aligned(0, 4), None);
    assert_eq!(heap.take(run(0, 1)), None);
    assert_eq!(heap.free(run(0, 1)), Err(PagesError::NotTaken));
    assert_eq!(heap.free(run(0, 0)), Err(PagesError::NotTaken));
    heap.query(0, 3);
    heap.check();
}

fn the_order_of_frees_does_not_matter<G: TestGeometry>() {
    let base = places::<G>(20)[2] * chunk::<G>();
    let mut random = Rng::with_seed(9);
    let mut heap = Fixture::<G>::new();
    heap.grow(run(base, 3 * chunk::<G>()));
    for _ in 0..if cfg!(miri) { 1 } else { 5 } {
        let mut runs = Vec::new();
        while let Some(taken) = heap.alloc(1 + random.usize(..chunk::<G>() / 3)) {
            runs.push(taken.run);
        }
        random.shuffle(&mut runs);
        for run in runs {
            heap.free(run).expect("live");
        }
        heap.check();
        assert_eq!(heap.pages.largest_run(&heap.state), 3 * chunk::<G>());
    }
}
