//! Blocks: entered by one user at a time.

use archipelago_api::Reentry;

use super::stage::{OWNER, Plain, Stage};
use crate::span::owned::block::{CpuBlock, Entered};
use crate::span::owned::frees::OwnFree;
use crate::span::owned::places::{ENTRIES, Place};

fn enter(block: &CpuBlock, reentry: Reentry) -> Option<Entered<'_>> {
    // SAFETY: all that runs is this test.
    unsafe { block.enter(reentry) }
}

/// Handlers come between, and nothing does.
fn others() -> [Reentry; 2] {
    // SAFETY: all that runs is this test.
    let handlers = unsafe { Reentry::handlers() };
    // SAFETY: as above.
    [handlers, unsafe { Reentry::nothing() }]
}

#[test]
fn whoever_may_come_between_finds_the_block_entered() {
    let [handlers, _] = others();
    for reentry in [Reentry::THREADS, handlers] {
        let (first, second) = (Stage::new(), Stage::new());
        let inside = enter(first.block, reentry).expect("nobody is inside");
        assert!(enter(first.block, reentry).is_none());
        assert!(enter(second.block, reentry).is_some(), "it is another one");
        drop(inside);
        let inside = enter(first.block, reentry).expect("nobody is inside");
        let block = inside.stay();
        assert!(enter(first.block, reentry).is_none(), "who stays is inside");
        // SAFETY: the block was entered above.
        drop(unsafe { block.entered(reentry) });
        assert!(enter(first.block, reentry).is_some());
    }
}

#[test]
fn nobody_is_kept_out_where_nothing_comes_between() {
    let [_, nothing] = others();
    let stage = Stage::new();
    let inside = enter(stage.block, nothing).expect("nobody is inside");
    assert!(enter(stage.block, nothing).is_some());
    drop(inside);
    assert!(enter(stage.block, Reentry::THREADS).is_some());
}

#[test]
fn an_entered_block_is_known() {
    let (first, second) = (Stage::new(), Stage::new());
    let inside = first.enter();
    assert!(inside.is_of(first.block) && !inside.is_of(second.block));
    let place = Place::numbered(7);
    let tag = inside.tag(place);
    assert_eq!((tag.owner(), Place::of_tag(tag)), (Some(OWNER), place));
}

/// The block of one CPU before it is made: whoever enters it finds nothing, and changes nothing.
#[test]
fn the_block_that_is_nobodys_serves_no_request_and_no_free() {
    let [handlers, nothing] = others();
    // SAFETY: the block is static, and shared.
    let block = unsafe { CpuBlock::nobodys().as_ref() };
    assert!(block.map().is_none() && block.inbox.is_empty());
    for reentry in [Reentry::THREADS, handlers, nothing] {
        let inside = enter(block, reentry).expect("nobody is inside");
        assert!(inside.is_of(block));
        for class in Stage::classes() {
            let stage = Stage::new();
            let span = stage.full(class);
            let place = Place::of(Stage::table(), class);
            assert_eq!(inside.take(place), None, "{class:?}");
            // SAFETY: nobody uses the slot.
            let freed = unsafe { inside.free_at::<Plain>(span.slot(0), place) };
            assert!(matches!(freed, OwnFree::Refused), "{class:?}");
            assert_eq!(span.live(), span.slots());
        }
        assert_eq!(inside.take(Place::NONE), None);
        drop(inside);
    }
    for number in 0..ENTRIES.to_le_bytes()[0] {
        let entry = enter(block, nothing).expect("nobody is inside");
        let tag = entry.tag(Place::numbered(number));
        assert_eq!(tag.0, u32::MAX, "no span has the tag");
        assert_eq!(tag.owner(), None);
    }
    assert_eq!(block.kept.pages.get(), 0);
}
