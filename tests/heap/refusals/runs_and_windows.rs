//! Refused runs of pages, and windows that are not added.

use archipelago::{Cause, InitError, Window, WindowRule};
use archipelago_api::{ReserveError, VirtAddr, VirtRange};
use archipelago_sim::{Kind, Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

use super::{FRAMES, NONE, assert_short_of_frames, compare, count_pages, with_frames};

/// Windows that overlap, that others have, and whose record has no frames.
fn a_window_that_is_not_added<G: SimGeometry>() {
    compare::<G>(|rig| {
        let arena = G::GEOMETRY.arena_bytes();
        let given = lone_window::<G>(32 * arena);
        let inside = Window::new(given.base + arena, arena);
        let refused = rig.heap.add_window(inside);
        let Err(InitError::Window { window, rule }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(window, inside);
        assert!(matches!(rule, WindowRule::Overlaps { .. }), "{rule}");

        let page = Rig::<G>::PAGE;
        let above = |number: usize| Window::new(given.base + given.bytes + 2 * number * page, page);
        let error = ReserveError::Occupied {
            occupied: range_of(above(1)),
        };
        rig.machine.occupy(range_of(above(1)));
        let refused = rig.heap.add_window(above(1));
        let window = above(1);
        assert_eq!(refused, Err(InitError::Reserve { window, error }));

        let refused = with_frames(rig, 0, || {
            (2..1000).find_map(|number| rig.heap.add_window(above(number)).err())
        });
        match refused {
            Some(InitError::Metadata { cause }) => assert!(
                matches!(
                    cause,
                    Cause::Frames { needed, available: 0 } | Cause::PageTables { needed, available: 0 }
                        if needed > 0
                ),
                "{cause}"
            ),
            refused => panic!("{refused:?}"),
        }
    });
}

/// Windows of a page each, whose array finds no room to grow in, because all pages are in use: as
/// many pages can be had as if the last one had not been asked for.
fn a_window_for_which_metadata_has_no_room<G: SimGeometry>() {
    let page = Rig::<G>::PAGE;
    let objects = lone_window::<G>(64 * page);
    let above = |number: usize| {
        let base = objects.base + objects.bytes + (2 * number + 1) * page;
        Window::new(base, page)
    };
    let with_windows = |most: usize| {
        let rig = Rig::<G>::on(Sim::default(), &[objects]);
        let size = layout(page, page);
        let blocks: Vec<_> = core::iter::from_fn(|| rig.allocate(size, NONE).ok()).collect();
        let add = |number| rig.heap.add_window(above(number)).err();
        let refused = (0..most).find_map(|number| Some((number, add(number)?)));
        rig.check();
        rig.verify();
        blocks.into_iter().for_each(|block| rig.free(block));
        (count_pages(&rig), refused)
    };
    let (left, refused) = with_windows(20_000);
    let Some((number, InitError::Metadata { cause })) = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(cause, Cause::MetadataWindow { .. }), "{cause}");
    assert_eq!((left, None), with_windows(number));
}

fn range_of(window: Window) -> VirtRange {
    VirtRange::new(VirtAddr::new(window.base), window.bytes).expect("it does not wrap")
}

/// A run that cannot grow: over pages in use, without frames, and beyond the limit.
fn a_run_that_is_not_extended<G: SimGeometry>() {
    compare::<G>(|rig| {
        let page = Rig::<G>::PAGE;
        let granules = page / G::GEOMETRY.granule_bytes();
        let pages = rig.heap.pages();
        let more = 300 / granules;
        let mut run = pages.allocate(more + 9, 1, NONE).expect("memory");
        run.shrink(9);
        let above = pages.allocate(more / 2, 1, NONE).expect("memory");
        let cause = run.extend(more, NONE).expect_err("not free").cause;
        assert_eq!(cause, Cause::NotFree { bytes: more * page });
        drop(above);
        rig.heap.scavenge(usize::MAX).expect("nobody is inside");

        let refused = with_frames(rig, 200, || run.extend(more, NONE));
        let cause = refused.expect_err("too few frames").cause;
        let (needed, available) = (more * granules, 200);
        assert_eq!(cause, Cause::Frames { needed, available });

        let mapped_ready = rig.heap.stats().mapped_ready;
        let limit = mapped_ready + 200 * G::GEOMETRY.granule_bytes();
        rig.heap.set_limit(limit);
        let cause = run.extend(more, NONE).expect_err("there is a limit").cause;
        let bytes = more * page;
        let asked = Cause::Limit {
            bytes,
            limit,
            mapped_ready,
        };
        assert_eq!(cause, asked);
        rig.heap.set_limit(usize::MAX);
        assert_eq!(run.count(), 9);
    });
}

/// Runs in adjacent frames, which the source does not supply, or of which there are too few.
fn a_run_in_adjacent_frames<G: SimGeometry>() {
    compare::<G>(|rig| {
        let granules = Rig::<G>::PAGE / G::GEOMETRY.granule_bytes();
        let pages = rig.heap.pages();
        for count in [1, 20, 300 / granules] {
            let refused = pages.allocate_adjacent(count, 1, NONE).map(drop);
            let cause = refused.expect_err("they are scattered").cause;
            let needed = count * granules;
            assert_eq!(cause, Cause::Adjacent { needed });
        }
        let refused = pages.allocate_adjacent(2 * FRAMES, 1, NONE).map(drop);
        let cause = refused.expect_err("there are fewer").cause;
        assert_short_of_frames::<G>(cause, 2 * FRAMES * Rig::<G>::PAGE);
    });
}

/// A long run of pages without memory: nothing is made for it in vain.
fn beyond_the_limit_in_free_pages<G: SimGeometry>() {
    compare::<G>(|rig| {
        let page = Rig::<G>::PAGE;
        let pages = 380 * G::GEOMETRY.granule_bytes() / page;
        rig.free(rig.get(pages * page, 8));
        rig.heap.scavenge(usize::MAX).expect("nobody is inside");
        let mapped_ready = rig.heap.stats().mapped_ready;
        let limit = mapped_ready + (pages - 20) * page;
        rig.heap.set_limit(limit);
        rig.machine.on_call(|call| {
            let is_step = call.kind == Kind::Commit && call.range.bytes() > 20 * Rig::<G>::PAGE;
            assert!(!is_step, "{call}");
        });
        let refused = rig.heap.pages().allocate(pages, 1, NONE).map(drop);
        rig.machine.clear_hook();
        rig.heap.set_limit(usize::MAX);
        let cause = refused.expect_err("there is a limit").cause;
        let bytes = pages * page;
        let asked = Cause::Limit {
            bytes,
            limit,
            mapped_ready,
        };
        assert_eq!(cause, asked);
    });
}

archipelago_testing::on_geometries_that_decommit!(
    a_window_that_is_not_added,
    a_window_for_which_metadata_has_no_room,
    a_run_that_is_not_extended,
    a_run_in_adjacent_frames,
    beyond_the_limit_in_free_pages,
);
