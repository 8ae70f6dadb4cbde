//! The span map: Ready page by page, and read by the CPU.

use core::ptr::NonNull;

use archipelago_api::VirtAddr;

use super::stage::{PAGE, Plain, START, Stage, fresh};
use crate::base::sparse::Zeroed;
use crate::base::{PageIdx, PageRun};
use crate::span::class::SizeClass;
use crate::span::owned::map::{MapEntry, SpanMap};

const FIRST: usize = START / PAGE;

/// A map with room for so many entries, and the first one.
fn map_with_room(most: usize) -> (&'static SpanMap, NonNull<MapEntry>) {
    let map = fresh::<SpanMap>(1).into_entry();
    let first = NonNull::from(fresh::<MapEntry>(most).into_slice()).cast();
    map.set_up(VirtAddr::new(START), first, most);
    (map, first)
}

/// A class whose spans have several pages.
fn long_class() -> SizeClass {
    let is_long = |class: &SizeClass| Stage::table().pages(*class) > 1;
    Stage::classes().find(is_long).expect("there is one")
}

/// Makes `more` entries Ready, from `next` on.
fn extend(map: &SpanMap, next: NonNull<MapEntry>, more: usize) {
    // SAFETY: the entries are zero and stay, and nobody knows them.
    map.extend(unsafe { Zeroed::new(next, more) });
}

#[test]
fn a_map_lacks_the_entries_up_to_the_end_of_a_run() {
    let (map, first) = map_with_room(10);
    let lacks = |page: usize, pages| {
        let lacks = map.lacks::<Plain>(PageRun::new(PageIdx(page), pages));
        // SAFETY: both are entries of the map, or its end.
        lacks.map(|(next, count)| (unsafe { next.offset_from(first) }, count))
    };
    assert_eq!(lacks(FIRST, 1), Some((0, 1)));
    assert_eq!(lacks(FIRST + 2, 3), Some((0, 5)));
    assert_eq!(lacks(FIRST, 10), Some((0, 10)));
    assert_eq!(lacks(FIRST, 11), None, "there is no room");
    assert_eq!(lacks(FIRST - 2, 1), None, "the map begins above");
    extend(map, first, 4);
    assert_eq!(map.bytes(), 4 * size_of::<MapEntry>());
    assert_eq!(lacks(FIRST, 4), None, "they are Ready");
    assert_eq!(lacks(FIRST + 4, 1), Some((4, 1)));
    assert_eq!(lacks(FIRST + 9, 1), Some((4, 6)));
    assert_eq!(lacks(FIRST + 10, 1), None);
}

#[test]
fn a_map_without_a_place_lacks_nothing() {
    let map = fresh::<SpanMap>(1).into_entry();
    assert_eq!(map.next(), None);
    assert_eq!(map.lacks::<Plain>(PageRun::new(PageIdx(FIRST), 1)), None);
}

#[test]
fn every_byte_of_a_span_leads_to_its_record_as_long_as_it_is_the_cpus() {
    let stage = Stage::new();
    let class = long_class();
    let (before, span) = (stage.own(class), stage.own(class));
    let after = stage.own(class);
    let bytes = Stage::table().pages(class) * PAGE;
    let found = |offset: usize| {
        let start = span.slot(0).value();
        stage.find(VirtAddr::new(start.wrapping_add(offset)))
    };
    for offset in [0, 1, PAGE - 1, PAGE, bytes - 1] {
        assert_eq!(found(offset), Some(span.handle), "{offset}");
    }
    assert_eq!(found(0_usize.wrapping_sub(1)), Some(before.handle));
    assert_eq!(found(bytes), Some(after.handle));
    assert_eq!(stage.find(VirtAddr::new(START - 1)), None);
    let entered = stage.enter();
    entered.drain(stage.records(), || (), |(), _| ());
    drop(entered);
    for offset in [0, PAGE, bytes - 1] {
        assert_eq!(found(offset), None, "{offset}");
    }
}

#[test]
fn pages_behind_the_end_of_the_map_are_not_found() {
    let class = long_class();
    let pages = Stage::table().pages(class);
    let (map, first) = map_with_room(Stage::FIRST_PAGE + 2 * pages);
    let stage = Stage::with_map(map);
    extend(map, first, Stage::FIRST_PAGE + pages + 1);
    let (inside, across, beyond) = (stage.own(class), stage.own(class), stage.own(class));
    let second = VirtAddr::new(across.slot(0).value() + PAGE);
    assert_eq!(stage.find(inside.slot(0)), Some(inside.handle));
    assert_eq!(stage.find(across.slot(0)), Some(across.handle));
    assert_eq!(stage.find(second), None);
    assert_eq!(stage.find(beyond.slot(0)), None);
}
