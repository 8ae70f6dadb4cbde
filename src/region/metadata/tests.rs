//! Metadata memory: address space, extents and the stock, without a machine and with one.

use alloc::vec::Vec;
use core::cell::Cell;

use archipelago_api::VirtAddr;
use archipelago_sim::{Hosted, Plain32, Sim, SimGeometry as _};

use super::*;
use crate::base::held::Membership;
use crate::region::ranges::{Ranges, Slot};
use crate::region::{Ledger, PendingUndo};

type Space32 = Sim<Plain32>;

const PAGE: usize = Plain32::GEOMETRY.page_bytes();

/// Pages of an extent.
const EXTENT: usize = 8;

/// The first page of the room.
const ROOM: usize = 64;

/// Metadata memory in a room of `pages` pages.
fn metadata(pages: usize) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.set_extent_bytes(EXTENT * PAGE);
    metadata.set_room(PageRun::new(PageIdx(ROOM), pages));
    metadata
}

/// The sizes of what is in stock, largest first.
fn stock(metadata: &Metadata) -> Vec<usize> {
    let mut sizes: Vec<_> = metadata.stock.iter().map(|piece| piece.bytes).collect();
    sizes.sort_by_key(|bytes| core::cmp::Reverse(*bytes));
    sizes
}

#[test]
fn the_room_is_used_up_to_its_last_page() {
    let mut metadata = metadata(3 * EXTENT);
    let take = |metadata: &mut Metadata, pages: usize| {
        let bytes = pages * PAGE;
        metadata.take_address::<Space32>(bytes, bytes)
    };
    // Larger than half of an extent: aligned to one, off the room's high end.
    assert_eq!(take(&mut metadata, EXTENT), Ok((ROOM + 2 * EXTENT) * PAGE));
    assert_eq!(metadata.room(), PageRun::new(PageIdx(ROOM), 2 * EXTENT));
    // As large as what is left.
    assert_eq!(take(&mut metadata, 2 * EXTENT), Ok(ROOM * PAGE));
    assert!(metadata.room().is_empty());
    let bytes = EXTENT * PAGE;
    let refused = Err(Cause::MetadataWindow { bytes });
    assert_eq!(take(&mut metadata, EXTENT), refused);
    // A small piece needs an extent.
    assert_eq!(take(&mut metadata, 1), refused);
    assert_eq!(metadata.place::<Space32>(64, 64), refused);
}

#[test]
fn an_extent_is_used_up_before_the_next_one_is_begun() {
    let mut metadata = metadata(2 * EXTENT);
    let first = ROOM + EXTENT;
    let take = |metadata: &mut Metadata, pages: usize| {
        let bytes = pages * PAGE;
        metadata.take_address::<Space32>(bytes, bytes)
    };
    // Half of an extent comes from its top, like all that is smaller.
    assert_eq!(
        take(&mut metadata, EXTENT / 2),
        Ok((first + EXTENT / 2) * PAGE)
    );
    assert_eq!(metadata.room(), PageRun::new(PageIdx(ROOM), EXTENT));
    assert_eq!(take(&mut metadata, 1), Ok((first + 3) * PAGE));
    // Aligned: the page between is left over.
    assert_eq!(take(&mut metadata, 2), Ok(first * PAGE));
    assert_eq!(metadata.room(), PageRun::new(PageIdx(ROOM), EXTENT));
    assert_eq!(take(&mut metadata, 1), Ok((ROOM + EXTENT - 1) * PAGE));
    assert!(metadata.room().is_empty());
}

#[test]
fn pages_that_are_ready_are_not_taken_off_the_top() {
    let mut metadata = metadata(2 * EXTENT);
    let first = (ROOM + EXTENT) * PAGE;
    assert_eq!(metadata.place::<Space32>(64, 64), Ok(first));
    metadata.extent.bump = first + 64;
    metadata.extent.ready = first + 5 * PAGE;
    assert_eq!(
        metadata.take_address::<Space32>(2 * PAGE, PAGE),
        Ok(first + 6 * PAGE)
    );
    assert_eq!(
        metadata.take_address::<Space32>(PAGE, PAGE),
        Ok(first + 5 * PAGE),
        "the last page above what is Ready"
    );
    assert_eq!(metadata.unused(), 5 * PAGE - 64);
    // A new extent, and what was Ready goes to stock.
    assert_eq!(
        metadata.take_address::<Space32>(PAGE, PAGE),
        Ok((ROOM + EXTENT - 1) * PAGE)
    );
    assert_eq!(stock(&metadata), [5 * PAGE - 64, 0, 0, 0]);
    assert_eq!(metadata.unused(), 5 * PAGE - 64);
}

#[test]
fn small_pieces_follow_each_other_at_their_alignment() {
    let mut metadata = metadata(2 * EXTENT);
    let first = (ROOM + EXTENT) * PAGE;
    assert_eq!(metadata.place::<Space32>(64, 64), Ok(first));
    metadata.extent.bump = first + 64;
    assert_eq!(metadata.place::<Space32>(64, 64), Ok(first + 64));
    assert_eq!(metadata.place::<Space32>(64, 256), Ok(first + 256));
    // Up to the top, and not beyond it.
    let left = EXTENT * PAGE - 64;
    assert_eq!(metadata.place::<Space32>(left, 64), Ok(first + 64));
    assert_eq!(metadata.place::<Space32>(left + 64, 64), Ok(ROOM * PAGE));
}

#[test]
fn the_smallest_piece_that_fits_is_taken_from_stock() {
    let mut metadata = metadata(0);
    assert_eq!(metadata.find_stock(64, 64), None);
    metadata.stock_up(0x1_0040, 1024);
    metadata.stock_up(0x2_0000, 256);
    assert_eq!(metadata.find_stock(1088, 64), None);
    assert_eq!(metadata.find_stock(64, 64), Some(0x2_0000));
    // The rest of a piece stays.
    assert_eq!(metadata.find_stock(192, 64), Some(0x2_0040));
    assert_eq!(stock(&metadata), [1024, 0, 0, 0]);
    // The place of a piece has to be aligned, at every bit.
    assert_eq!(metadata.find_stock(128, 128), None);
    assert_eq!(metadata.find_stock(128, 4096), None);
    assert_eq!(metadata.find_stock(1024, 64), Some(0x1_0040));
    assert_eq!(metadata.unused(), 0);
}

#[test]
fn stock_keeps_the_largest_pieces() {
    let mut metadata = metadata(0);
    for (number, bytes) in [320, 64, 256, 128].into_iter().enumerate() {
        metadata.stock_up(number << 12, bytes);
    }
    assert_eq!(stock(&metadata), [320, 256, 128, 64]);
    metadata.stock_up(0x1_0000, 192);
    assert_eq!(stock(&metadata), [320, 256, 192, 128]);
    metadata.stock_up(0x2_0000, 64);
    assert_eq!(stock(&metadata), [320, 256, 192, 128]);
    // What found no place counts as unused.
    assert_eq!(metadata.unused(), 320 + 256 + 192 + 128 + 2 * 64);
    assert_eq!(metadata.find_stock(192, 64), Some(0x1_0000));
}

/// Runs `work` with metadata memory in a room of `extents` extents that a machine has reserved.
fn with_source(extents: usize, work: impl FnOnce(&mut Metadata, &Space<'_, Space32>, &Ledger)) {
    let (machine, ledger) = (Sim::builder().build(), Ledger::new());
    let (heap, pending) = (Membership::none().heap(), Cell::new(PendingUndo::NONE));
    // SAFETY: nobody else has the machine or the account.
    let space = unsafe { Space::new::<Hosted>(&machine, &ledger, heap, |_, _| Ok(()), &pending) };
    let space = space.expect("nothing is pending");
    let range = VirtRange::new(VirtAddr::new(ROOM * PAGE), extents * EXTENT * PAGE);
    let reserved = space.reserve(range.expect("it does not wrap"));
    reserved.expect("the space is free").record();
    work(&mut metadata(extents * EXTENT), &space, &ledger);
}

#[test]
fn outgrown_arrays_go_to_stock_and_are_used_again() {
    with_source(2, |metadata, space, ledger| {
        let take = |metadata: &mut Metadata, slots| {
            let taken = metadata
                .source(space)
                .take::<Slot>(Purpose::Ranges, slots, 0);
            taken.expect("memory")
        };
        let mut ranges = Ranges::new();
        let bytes = |slots| slots * size_of::<Slot>();
        assert!(ranges.adopt(take(metadata, 16)).is_none());
        let old = ranges.adopt(take(metadata, 32)).expect("it was outgrown");
        metadata.put_in_stock(old, space);
        assert_eq!(ledger.of(Purpose::Ranges), bytes(32));
        assert_eq!(ledger.of(Purpose::UnusedMetadata), metadata.unused());
        assert_eq!(stock(metadata), [bytes(16), 0, 0, 0]);
        let (bump, ready) = (metadata.extent.bump, ledger.mapped_ready());
        let again = take(metadata, 8).into_slice();
        assert_eq!(again.len(), 8);
        assert_eq!(stock(metadata), [bytes(8), 0, 0, 0]);
        assert_eq!((metadata.extent.bump, ledger.mapped_ready()), (bump, ready));
        assert_eq!(ledger.of(Purpose::Ranges), bytes(32 + 8));
        assert_eq!(ledger.of(Purpose::UnusedMetadata), metadata.unused());
    });
}

#[test]
fn what_alignment_and_whole_pages_leave_goes_to_stock() {
    with_source(2, |metadata, space, ledger| {
        let mut take = |count: usize, align| {
            let taken = metadata
                .source(space)
                .take::<Slot>(Purpose::Spans, count, align);
            taken.expect("memory");
            metadata.clone()
        };
        let line = LINE_BYTES / size_of::<Slot>();
        assert_eq!(stock(&take(line, 0)), [0; 4]);
        assert_eq!(
            stock(&take(line, 4 * LINE_BYTES)),
            [3 * LINE_BYTES, 0, 0, 0]
        );
        let pages = 2 * PAGE / size_of::<Slot>();
        assert_eq!(stock(&take(pages, 0)), [3 * LINE_BYTES, 0, 0, 0]);
        let left = take(pages + line, 0);
        assert_eq!(stock(&left), [PAGE - LINE_BYTES, 3 * LINE_BYTES, 0, 0]);
        assert_eq!(ledger.of(Purpose::UnusedMetadata), left.unused());
        assert_eq!(ledger.of(Purpose::Spans), 3 * LINE_BYTES + 4 * PAGE);
    });
}

#[test]
fn a_piece_longer_than_a_page_begins_where_the_last_one_ends() {
    with_source(2, |metadata, space, ledger| {
        let mut take = |bytes: usize| {
            let count = bytes / size_of::<Slot>();
            let taken = metadata
                .source(space)
                .take::<Slot>(Purpose::Spans, count, 0);
            taken.expect("memory").into_slice().as_ptr().addr()
        };
        let first = take(3 * LINE_BYTES);
        assert_eq!(take(PAGE + LINE_BYTES), first + 3 * LINE_BYTES);
        assert_eq!(ledger.mapped_ready(), 2 * PAGE);
        assert_eq!(stock(metadata), [0; 4]);
        let unused = ledger.of(Purpose::UnusedMetadata);
        assert_eq!(unused, PAGE - 4 * LINE_BYTES);
        assert_eq!(unused, metadata.unused());
    });
}

#[test]
fn a_block_and_the_next_extent_have_no_gap_between_them() {
    with_source(6, |metadata, space, _| {
        assert!(metadata.place::<Space32>(64, 64).is_ok());
        // Aligned to its size it would lie an extent lower.
        let block = metadata.source(space).take_block(4 * EXTENT * PAGE, PAGE);
        assert_eq!(block, Ok(Offset::new((ROOM + EXTENT) * PAGE)));
        assert_eq!(metadata.room(), PageRun::new(PageIdx(ROOM), EXTENT));
        assert!(metadata.next_extent::<Space32>().is_ok());
        assert_eq!(metadata.extent.top, (ROOM + EXTENT) * PAGE);
    });
}
