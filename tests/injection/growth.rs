//! Growth: within an arena, to the next one, to one elsewhere, to another window.

use archipelago::AllocFlags;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout, on_geometry};

use crate::case::{Case, home, large, metadata_window, window};
use crate::inject;
use crate::refusal::Refusal;

/// A heap in `windows` and one for metadata, whose first `pages` pages are taken.
fn filled<G: SimGeometry>(windows: &[archipelago::Window], pages: usize) -> Case<G> {
    let mut all = windows.to_vec();
    all.push(metadata_window::<G>());
    let mut case = Case::on(&all);
    case.get(pages * G::GEOMETRY.page_bytes(), 8);
    case
}

/// Allocates a large object, which has to begin `pages_above` pages above [`home`].
fn allocate_at<G: SimGeometry>(case: &mut Case<G>, pages_above: usize) -> Result<(), Refusal> {
    case.allocate(large(), AllocFlags::empty())?;
    let address = case.rig.address(case.last());
    let expected = home::<G>() + pages_above * G::GEOMETRY.page_bytes();
    assert_eq!(address.value(), expected, "where the heap grew");
    Ok(())
}

const fn chunk<G: SimGeometry>() -> usize {
    G::GEOMETRY.chunk_pages()
}

const fn arena<G: SimGeometry>() -> usize {
    G::GEOMETRY.arena_pages()
}

fn growth_within_an_arena<G: SimGeometry>() {
    inject!(
        || {
            assert!(arena::<G>() > chunk::<G>(), "an arena of several chunks");
            filled::<G>(&[window::<G>(0, arena::<G>())], chunk::<G>())
        },
        |case| allocate_at(case, chunk::<G>())
    );
}

fn growth_to_the_next_arena<G: SimGeometry>() {
    inject!(
        || {
            let start = arena::<G>() - chunk::<G>();
            let pages = chunk::<G>() + arena::<G>();
            filled::<G>(&[window::<G>(start, pages)], chunk::<G>())
        },
        |case| allocate_at(case, arena::<G>())
    );
}

/// The run begins in free pages at the end of one arena, which have no memory, and ends in the
/// next.
fn growth_across_the_end_of_an_arena<G: SimGeometry>() {
    inject!(
        || {
            let start = arena::<G>() - chunk::<G>();
            let pages = chunk::<G>() + arena::<G>();
            filled::<G>(&[window::<G>(start, pages)], chunk::<G>() - 3)
        },
        |case| allocate_at(case, arena::<G>() - 3)
    );
}

/// The run begins in free pages of which one has memory and the others have none. That one's frame
/// can help out.
fn growth_after_pages_that_are_ready_in_part<G: SimGeometry>() {
    inject!(
        || {
            let start = arena::<G>() - chunk::<G>();
            let pages = chunk::<G>() + arena::<G>();
            let mut case = filled::<G>(&[window::<G>(start, pages)], chunk::<G>() - 3);
            let page = G::GEOMETRY.page_bytes();
            case.get(page, page);
            let ready = case.rig.get(page, page);
            case.rig.free(ready);
            case
        },
        |case| allocate_at(case, arena::<G>() - 2),
        absorbs: true
    );
}

fn growth_to_an_arena_elsewhere<G: SimGeometry>() {
    inject!(
        || {
            let far = window::<G>(7 * arena::<G>(), arena::<G>());
            filled::<G>(&[window::<G>(0, chunk::<G>()), far], chunk::<G>())
        },
        |case| allocate_at(case, 7 * arena::<G>())
    );
}

/// The two windows lie in one chunk, with a hole between them.
fn growth_to_another_window<G: SimGeometry>() {
    inject!(
        || {
            let second = window::<G>(chunk::<G>() * 5 / 16, chunk::<G>() * 5 / 8);
            let first = window::<G>(0, chunk::<G>() / 4);
            filled::<G>(&[second, first], chunk::<G>() / 4)
        },
        |case| allocate_at(case, chunk::<G>() * 5 / 16)
    );
}

fn an_object_larger_than_an_arena<G: SimGeometry>() {
    inject!(
        || {
            // Frames that are zero as they come cost nothing until they are touched.
            let machine = Sim::builder().zeroed_frames(true).build();
            let windows = [
                window::<G>(chunk::<G>() / 2, 3 * arena::<G>()),
                metadata_window::<G>(),
            ];
            let mut case = Case::of(Rig::<G>::on(machine, &windows));
            case.get(100, 8);
            case
        },
        |case| {
            let bytes = G::GEOMETRY.arena_bytes() + G::GEOMETRY.chunk_bytes();
            // Filling it would take longer than all the rest.
            let large = layout(bytes, 8);
            let block = case.rig.allocate(large, AllocFlags::empty());
            case.rig.free(block.map_err(Refusal::Request)?);
            Ok(())
        }
    );
}

#[cfg(target_pointer_width = "64")]
on_geometry!(
    x86_64,
    X86_64,
    growth_within_an_arena,
    growth_to_the_next_arena,
    growth_across_the_end_of_an_arena,
    growth_after_pages_that_are_ready_in_part,
    growth_to_an_arena_elsewhere,
    growth_to_another_window,
    an_object_larger_than_an_arena,
);
on_geometry!(
    plain32,
    Plain32,
    growth_within_an_arena,
    growth_to_the_next_arena,
    growth_across_the_end_of_an_arena,
    growth_after_pages_that_are_ready_in_part,
    growth_to_an_arena_elsewhere,
    growth_to_another_window,
    an_object_larger_than_an_arena,
);
on_geometry!(
    small,
    Small,
    growth_to_the_next_arena,
    growth_across_the_end_of_an_arena,
    growth_after_pages_that_are_ready_in_part,
    growth_to_an_arena_elsewhere,
    growth_to_another_window,
    an_object_larger_than_an_arena,
);
