//! The arithmetic of address space: metadata to be, its share, and where it goes on; and the
//! figures of refusals.

use alloc::vec::Vec;

#[cfg(target_pointer_width = "64")]
use archipelago_api::Geometry;
use archipelago_api::{VirtAddr, VirtRange};
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry as _};

use super::need::{Need, Trial};
use super::ranges::FIRST_CAPACITY;
use super::token::Reserved;
use super::windows::{Home, Windows};
use super::{Cause, LINE_BYTES, Purpose};
use crate::base::{PageIdx, PageRun, Shape};
use crate::testing::{HostSource, top_up};
#[cfg(target_pointer_width = "64")]
use crate::testing::{Shaped, TestGeometry};

type Space32 = Sim<Plain32>;

const PAGE: usize = Plain32::GEOMETRY.page_bytes();

/// Pages of an extent.
const EXTENT: usize = 8;

fn run(first: usize, count: usize) -> PageRun {
    PageRun::new(PageIdx(first), count)
}

/// Metadata at home in `room`.
fn home<S: Shape>(room: PageRun, is_apart: bool) -> Home {
    Home {
        room,
        is_apart,
        anchor: Windows::anchor::<S>(room),
        extent_bytes: EXTENT * PAGE,
    }
}

/// Windows with metadata at home in `home`, and unused pages beside it, in an array with no more
/// slots than it needs.
fn windows<S: Shape>(home: Home, unused: &[PageRun]) -> Windows {
    let mut windows = Windows::new();
    // SAFETY: the address space is a number here, and nobody uses it.
    unsafe { windows.set_home::<S>(home) };
    let mut source = HostSource::default();
    let (all, rest, _) = windows.plant();
    for piece in unused {
        for ranges in [&mut *all, &mut *rest] {
            top_up(ranges, &mut source);
            ranges.add(*piece).expect("there is room");
        }
    }
    top_up(all, &mut source);
    windows.add_home(home.room).expect("there is room");
    windows
}

/// Has metadata find no address space in the room that it has.
fn exhaust<S: Shape>(windows: &mut Windows) -> Result<(), Cause> {
    let room = windows.room();
    windows.with_metadata::<S, Hosted, ()>(|windows| {
        if windows.room() == room {
            return Err(Cause::MetadataWindow { bytes: 1 });
        }
        Ok(())
    })
}

fn candidates(windows: &Windows) -> Vec<PageRun> {
    let mut found: Vec<_> = windows.candidates().collect();
    found.sort_by_key(|piece| piece.first);
    found
}

#[test]
fn metadata_goes_on_in_the_largest_piece() {
    let pieces = [run(200, 50), run(300, 80), run(400, 60)];
    let home = home::<Space32>(run(100, 10), false);
    let mut windows = windows::<Space32>(home, &pieces);
    // Growth leaves the last page to metadata, in the old room and in the new one.
    let [low, large, high] = pieces;
    assert_eq!(candidates(&windows), [run(100, 9), low, large, high]);
    assert_eq!(exhaust::<Space32>(&mut windows), Ok(()));
    assert_eq!(windows.room(), large);
    assert_eq!(
        candidates(&windows),
        [run(100, 10), low, run(300, 79), high]
    );
    // Those that are left are smaller.
    let refused = Err(Cause::MetadataWindow { bytes: 1 });
    assert_eq!(exhaust::<Space32>(&mut windows), refused);
    assert_eq!(windows.room(), large);
}

#[test]
fn a_piece_as_large_as_the_room_does_not_take_its_place() {
    let home = home::<Space32>(run(100, 80), false);
    let mut windows = windows::<Space32>(home, &[run(300, 80)]);
    let refused = Err(Cause::MetadataWindow { bytes: 1 });
    assert_eq!(exhaust::<Space32>(&mut windows), refused);
    assert_eq!(windows.room(), run(100, 80));
}

#[test]
fn a_whole_piece_leaves_its_slot_to_the_rest_of_the_room() {
    // As many as the first array holds.
    let mut pieces = [run(0, 0); FIRST_CAPACITY];
    for (number, piece) in pieces.iter_mut().enumerate() {
        *piece = run(200 + 100 * number, if number == 1 { 80 } else { 60 });
    }
    let home = home::<Space32>(run(100, 10), false);
    let mut windows = windows::<Space32>(home, &pieces);
    assert_eq!(windows.unused().needs_room(1), Some(2 * FIRST_CAPACITY));
    assert_eq!(exhaust::<Space32>(&mut windows), Ok(()));
    assert_eq!(windows.room(), run(300, 80));
    assert!(windows.unused().contains_run(run(100, 10)));
}

#[cfg(target_pointer_width = "64")]
#[test]
fn metadata_stays_where_handles_reach() {
    type Far = Sim<archipelago_sim::X86_64>;
    const REACH: usize = 1 << 25;
    let home = home::<Far>(run(1 << 30, 10), false);
    let end = (1 << 30) + 10 + REACH;
    let beyond = run(end - 100, 300);
    // A part of a piece needs a slot for the rest of the room.
    let mut full = windows::<Far>(home, &[run(200, 5), run(300, 5), run(400, 5), beyond]);
    let refused = Err(Cause::MetadataWindow { bytes: 1 });
    assert_eq!(exhaust::<Far>(&mut full), refused);
    let mut windows = windows::<Far>(home, &[run(200, 1000), beyond]);
    assert_eq!(exhaust::<Far>(&mut windows), Ok(()));
    assert_eq!(windows.room(), run(end - 100, 100));
    assert!(windows.unused().contains_run(run(end, 200)));
}

#[test]
fn metadata_is_what_windows_have_beside_unused_pages() {
    let home = home::<Space32>(run(100, 10), false);
    let mut windows = windows::<Space32>(home, &[run(200, 50)]);
    windows.plant_room(run(100, 6));
    let is_metadata = |page| windows.is_metadata(PageIdx(page));
    assert!(is_metadata(106) && is_metadata(109));
    for page in [99, 100, 105, 110, 199, 200, 249, 250] {
        assert!(!is_metadata(page), "page {page}");
    }
}

/// An address space as large as handles reach from anywhere in it.
#[cfg(target_pointer_width = "64")]
#[derive(Debug)]
struct Near37;

#[cfg(target_pointer_width = "64")]
impl TestGeometry for Near37 {
    const GEOMETRY: Geometry = Geometry {
        address_bits: 37,
        index_table_shift: 15,
        ..Plain32::GEOMETRY
    };
}

#[test]
fn growth_leaves_metadata_its_share() {
    fn allowance<S: Shape>(pages: usize, is_apart: bool, owned: usize) -> usize {
        let home = home::<S>(run(100, pages), is_apart);
        windows::<S>(home, &[]).allowance::<S>(owned)
    }
    // Eight bytes for a page of 4 KiB, and a page at least.
    assert_eq!(allowance::<Space32>(2048, false, 0), 2044);
    assert_eq!(allowance::<Space32>(2048, false, 2000), 44);
    assert_eq!(allowance::<Space32>(2048, false, 2045), 0);
    assert_eq!(allowance::<Space32>(10, false, 0), 9);
    assert_eq!(allowance::<Space32>(2048, true, 40), 2008);
    #[cfg(target_pointer_width = "64")]
    {
        assert_eq!(allowance::<Shaped<Near37>>(2048, false, 0), 2044);
        // Tables of what lies out of reach, too.
        let far = allowance::<Sim<archipelago_sim::X86_64>>(2000, false, 0);
        assert_eq!(far, 1900);
    }
}

#[test]
fn a_window_serves_what_metadata_leaves() {
    let room = run(64, 1024);
    let serves = |others: usize, taken: usize, pages: usize| {
        let mut trial = Trial::at(room, EXTENT * PAGE);
        assert!(trial.take::<Space32>(Need::of_bytes(PAGE), taken));
        let home = home::<Space32>(room, false);
        Windows::could_serve::<Space32>(&home, others, &trial, pages)
    };
    assert!(serves(0, 0, 1022) && !serves(0, 0, 1023), "the share");
    assert!(serves(0, 1, 1016) && !serves(0, 1, 1017), "an extent");
    assert!(
        serves(512, 0, 1533) && !serves(512, 0, 1534),
        "of all pages"
    );
    assert!(serves(512, 1, 1528) && !serves(512, 1, 1529));
    let trial = Trial::at(room, EXTENT * PAGE);
    let apart = home::<Space32>(room, true);
    let serves = |pages| Windows::could_serve::<Space32>(&apart, 5, &trial, pages);
    assert!(serves(5) && !serves(6), "the room serves metadata alone");
}

#[test]
fn metadata_to_be_takes_what_metadata_takes() {
    let small = Need::of_bytes(1);
    let page = Need {
        bytes: PAGE,
        align: PAGE,
        is_block: false,
    };
    let block = Need {
        bytes: 1,
        align: 1,
        is_block: true,
    };
    let of_page = PAGE / LINE_BYTES;
    // It begins where the piece before it ends.
    let longer = Need::of_bytes(PAGE + 1);
    // What fills an extent, and the pages that the next piece leaves then.
    let cases: [&[(Need, usize)]; 5] = [
        &[(small, EXTENT * of_page)],
        &[(small, 1), (page, EXTENT - 1), (small, of_page - 1)],
        &[(small, 1), (block, EXTENT - 1), (small, of_page - 1)],
        &[(block, EXTENT)],
        &[
            (small, 1),
            (longer, 2),
            (page, EXTENT - 3),
            (small, of_page - 3),
        ],
    ];
    for needs in cases {
        for next in [small, page, block] {
            let mut trial = Trial::at(run(64, 2 * EXTENT), EXTENT * PAGE);
            for (need, count) in needs {
                assert!(trial.take::<Space32>(*need, *count));
            }
            assert_eq!(trial.room(), run(64, EXTENT), "{needs:?}");
            assert!(trial.take::<Space32>(next, 1));
            assert!(trial.room().is_empty(), "{needs:?} and {next:?}");
            assert!(!trial.take::<Space32>(page, EXTENT), "{needs:?}");
        }
    }
}

#[test]
fn a_split_leaves_no_empty_rest() {
    let token = || {
        let range = VirtRange::new(VirtAddr::new(PAGE), 3 * PAGE).expect("it does not wrap");
        // SAFETY: the address space is a number here, and nobody uses it.
        unsafe { Reserved::assume(range) }
    };
    let (low, high) = token().split_at(PAGE);
    assert_eq!(low.range().bytes(), PAGE);
    assert_eq!(high.map(|high| high.range().bytes()), Some(2 * PAGE));
    for bytes in [3 * PAGE, 4 * PAGE] {
        let (whole, rest) = token().split_at(bytes);
        assert_eq!(whole.range(), token().range());
        assert!(rest.is_none());
    }
}

#[test]
fn figures_of_a_step_become_those_of_the_request() {
    let frames = |needed, available| Cause::Frames { needed, available };
    let limit = |bytes, mapped_ready| Cause::Limit {
        bytes,
        limit: 100 * PAGE,
        mapped_ready,
    };
    assert_eq!(frames(1, 2).for_all(9 * PAGE, 3 * PAGE, PAGE), frames(9, 5));
    assert_eq!(frames(1, 2).beside(9 * PAGE, 3 * PAGE, PAGE), frames(10, 5));
    let step = limit(PAGE, 99 * PAGE);
    let all = limit(9 * PAGE, 96 * PAGE);
    assert_eq!(step.for_all(9 * PAGE, 3 * PAGE, PAGE), all);
    let more = limit(10 * PAGE, 96 * PAGE);
    assert_eq!(step.beside(9 * PAGE, 3 * PAGE, PAGE), more);
    for other in [Cause::Busy, Cause::MetadataWindow { bytes: 5 }] {
        assert_eq!(other.for_all(9 * PAGE, PAGE, PAGE), other);
        assert_eq!(other.beside(9 * PAGE, PAGE, PAGE), other);
    }
}

#[test]
fn every_purpose_has_a_name_of_its_own() {
    let mut names: Vec<_> = Purpose::ALL.iter().map(|purpose| purpose.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Purpose::ALL.len());
    assert!(names.iter().all(|name| !name.is_empty()));
}
