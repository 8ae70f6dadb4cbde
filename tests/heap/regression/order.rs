//! The order in which windows come makes no difference.

use archipelago::{AllocFlags, ChunkView, SpanView, Window};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Rig, layout};
use fastrand::Rng;

/// Window number `number` of one arena, with a gap of an arena to the next.
fn island<G: SimGeometry>(number: usize) -> Window {
    let arena = G::GEOMETRY.arena_bytes();
    let eighth = G::GEOMETRY.last_offset().value() / 8 + 1;
    Window::new(
        G::GEOMETRY.base.wrapping_add(eighth / arena * arena) + 2 * number * arena,
        arena,
    )
}

fn metadata<G: SimGeometry>() -> Window {
    let bytes = G::GEOMETRY.last_offset().value() / 16 + 1;
    Window::for_metadata(G::GEOMETRY.base.wrapping_add(bytes), bytes.min(1 << 26))
}

/// The results of a heap's requests, and its final state.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    addresses: Vec<usize>,
    /// The owned ranges and their free pages, chunk by chunk; `verify` compares the summaries with
    /// them.
    chunks: Vec<ChunkView>,
    spans: Vec<SpanView>,
}

/// The outcome of a fixed series of requests on a heap that was given `windows` in this order, the
/// first `at_once` of them at `init`.
fn outcome<G: SimGeometry>(windows: &[Window], at_once: usize) -> Outcome {
    let (first, later) = windows.split_at(at_once);
    let first: Vec<_> = first.iter().copied().chain([metadata::<G>()]).collect();
    let rig = Rig::<G>::on(Sim::builder().zeroed_frames(true).build(), &first);
    for window in later {
        rig.heap.add_window(*window).expect("a good window");
    }
    let mut random = Rng::with_seed(5);
    let (mut live, mut results) = (Vec::new(), Vec::new());
    let arena = G::GEOMETRY.arena_bytes();
    for _ in 0..300 {
        if random.u8(..4) == 0 && !live.is_empty() {
            rig.free(live.swap_remove(random.usize(..live.len())));
            continue;
        }
        let size = match random.u8(..8) {
            0 => random.usize(arena / 8..=arena),
            _ => random.usize(1..=4 * Rig::<G>::PAGE),
        };
        if let Ok(block) = rig.allocate(layout(size, 8), AllocFlags::empty()) {
            results.push(rig.address(block).value());
            live.push(block);
        }
    }
    rig.check();
    rig.verify();
    let (mut chunks, mut spans) = (Vec::new(), Vec::new());
    rig.heap.for_each_chunk(|chunk| chunks.push(chunk));
    rig.heap.for_each_span(|span| spans.push(span));
    Outcome {
        addresses: results,
        chunks,
        spans,
    }
}

fn every_order_of_three_windows_gives_the_same_results<G: SimGeometry>() {
    let [low, middle, high] = [0, 1, 2].map(island::<G>);
    let expected = outcome::<G>(&[low, middle, high], 3);
    let served = expected.addresses.len();
    assert!(served > 100, "{served} requests were served");
    for order in [
        [low, high, middle],
        [middle, low, high],
        [middle, high, low],
        [high, low, middle],
        [high, middle, low],
    ] {
        // Windows below, above and between the first ones, before the heap grows into them.
        for at_once in 1..=3 {
            assert_eq!(
                outcome::<G>(&order, at_once),
                expected,
                "{order:?}, {at_once} at once"
            );
        }
    }
}

fn a_hundred_windows_in_any_order_give_the_same_results<G: SimGeometry>() {
    let ordered: Vec<_> = (0..100).map(island::<G>).collect();
    let expected = outcome::<G>(&ordered, 100);
    let arenas = 100 * G::GEOMETRY.arena_bytes();
    let bytes: usize = expected.spans.iter().map(|span| span.bytes).sum();
    assert!(bytes > arenas / 20, "{bytes} bytes of {arenas} are in use");
    let mut shuffled = ordered.clone();
    for seed in 0..3 {
        Rng::with_seed(seed).shuffle(&mut shuffled);
        assert_eq!(outcome::<G>(&shuffled, 100), expected);
        assert_eq!(outcome::<G>(&shuffled, 1), expected);
    }
}

/// A window below, between or above the ranges that the heap owns takes its place in the order.
fn windows_that_come_late_are_used_lowest_first<G: SimGeometry>() {
    let arena = G::GEOMETRY.arena_bytes();
    let rig = Rig::<G>::on(
        Sim::builder().zeroed_frames(true).build(),
        &[island::<G>(2), metadata::<G>()],
    );
    let whole = |number| {
        let block = rig.get(arena, 8);
        assert_eq!(rig.address(block).value(), island::<G>(number).base);
        block
    };
    let mut blocks = vec![whole(2)];
    for late in [4, 0, 3, 1] {
        rig.heap
            .add_window(island::<G>(late))
            .expect("a good window");
    }
    blocks.extend([0, 1, 3, 4].map(whole));
    assert!(rig.allocate(layout(arena, 8), AllocFlags::empty()).is_err());
    for block in blocks {
        rig.free(block);
    }
    rig.check();
    rig.verify();
    // Now that the heap owns all of it, too.
    let blocks = [0, 1, 2, 3, 4].map(whole);
    blocks.into_iter().for_each(|block| rig.free(block));
}

/// Free pages are used again from the lowest address up.
fn reuse_goes_by_address<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let size = 20 * Rig::<G>::PAGE;
    let blocks: Vec<_> = (0..8).map(|_| rig.get(size, 8)).collect();
    let mut holes = [6, 1, 4].map(|number| blocks[number]);
    for hole in holes {
        rig.free(hole);
    }
    holes.sort_by_key(|hole| rig.address(*hole).value());
    for hole in holes {
        assert_eq!(rig.get(size, 8).pointer, hole.pointer);
    }
    rig.verify();
}

archipelago_testing::on_every_geometry!(
    every_order_of_three_windows_gives_the_same_results,
    a_hundred_windows_in_any_order_give_the_same_results,
    windows_that_come_late_are_used_lowest_first,
    reuse_goes_by_address,
);
