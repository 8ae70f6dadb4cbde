//! Lookups of arbitrary addresses: each returns, and no address outside of all spans is owned.

use archipelago::{AllocFlags, VirtAddr};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Placement, Rig, layout, placements};
use fastrand::Rng;

/// Random addresses that are looked up.
const RANDOM: usize = if cfg!(miri) { 1_000 } else { 100_000 };

/// A heap in `placement` with objects of several kinds, some of them freed again.
fn lived_in<G: SimGeometry>(placement: &Placement) -> Rig<G> {
    let rig = Rig::<G>::on(Sim::default(), &placement.windows);
    if let Some(window) = placement.later {
        rig.heap.add_window(window).expect("a good window");
    }
    let page = Rig::<G>::PAGE;
    let wanted = (1..100).map(|number| layout(1 + number * 13 % (2 * page), 8));
    let large = [
        layout(20 * page, 8),
        layout(3 * page, 2 * page),
        layout(9 * page, 8),
    ];
    let blocks = wanted
        .chain(large)
        .map(|wanted| rig.allocate(wanted, AllocFlags::empty()).expect("memory"));
    let blocks: Vec<_> = blocks.collect();
    for block in blocks.into_iter().step_by(3) {
        rig.free(block);
    }
    rig
}

/// First and last offset of every span.
fn spans<G: SimGeometry>(rig: &Rig<G>) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    rig.heap.for_each_span(|span| {
        let first = span.base.value().wrapping_sub(G::GEOMETRY.base);
        spans.push((first, first + (span.bytes - 1)));
    });
    spans
}

/// Looks `number` up, and compares the result with the spans.
fn ask<G: SimGeometry>(rig: &Rig<G>, spans: &[(usize, usize)], number: usize) {
    let offset = number.wrapping_sub(G::GEOMETRY.base);
    let expected = spans
        .iter()
        .any(|(first, last)| *first <= offset && offset <= *last);
    assert_eq!(
        rig.heap.owns(VirtAddr::new(number)),
        expected,
        "{number:#x}"
    );
}

/// Numbers next to `number`, which need not be one of the space.
fn around(number: usize) -> [usize; 3] {
    [number.wrapping_sub(1), number, number.wrapping_add(1)]
}

/// Every address at which a span, an arena or a window begins or ends.
fn edges<G: SimGeometry>(placement: &Placement, spans: &[(usize, usize)]) -> Vec<usize> {
    let geometry = G::GEOMETRY;
    let mut edges = vec![0, 1, usize::MAX, usize::MAX / 2, geometry.base];
    edges.extend((0..usize::BITS).map(|bit| 1 << bit));
    edges.extend((0..usize::BITS).map(|bit| usize::MAX << bit));
    edges.push(geometry.base.wrapping_add(geometry.last_offset().value()));
    for window in placement.windows.iter().chain(&placement.later) {
        let end = window.base.wrapping_add(window.bytes);
        edges.extend([window.base, end]);
        for step in [
            geometry.page_bytes(),
            geometry.chunk_bytes(),
            geometry.arena_bytes(),
        ] {
            let first = window.base / step * step;
            let steps = (0..20_usize).map(|number| first.wrapping_add(number.wrapping_mul(step)));
            edges.extend(steps);
        }
    }
    for (first, last) in spans {
        edges.extend([*first, *last].map(|offset| offset.wrapping_add(geometry.base)));
    }
    edges
}

fn any_number_can_be_looked_up<G: SimGeometry>() {
    let mut random = Rng::with_seed(11);
    for placement in placements::<G>(1 << 21) {
        println!("{}", placement.name);
        let rig = lived_in::<G>(&placement);
        let spans = spans(&rig);
        assert!(!spans.is_empty());
        for number in edges::<G>(&placement, &spans).into_iter().flat_map(around) {
            ask(&rig, &spans, number);
        }
        let window = placement.windows[0];
        for _ in 0..RANDOM / 10 {
            // Addresses anywhere, in the space, and near the heap.
            ask(&rig, &spans, random.usize(..));
            let offset = random.usize(..=G::GEOMETRY.last_offset().value());
            ask(&rig, &spans, offset.wrapping_add(G::GEOMETRY.base));
            ask(
                &rig,
                &spans,
                window.base.wrapping_add(random.usize(..window.bytes)),
            );
        }
    }
}

fn a_heap_that_is_not_there_owns_nothing<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::default());
    for number in [0, 1, usize::MAX, G::GEOMETRY.base, 1 << 20] {
        assert!(!rig.heap.owns(VirtAddr::new(number)));
    }
}

fn nothing_is_owned_any_more_when_all_is_freed<G: SimGeometry>() {
    let rig = Rig::<G>::new();
    let blocks: Vec<_> = (0..50).map(|number| rig.get(100 * number + 1, 8)).collect();
    for block in &blocks {
        assert!(rig.heap.owns(rig.address(*block)));
    }
    for block in &blocks {
        rig.free(*block);
    }
    rig.heap.scavenge(0).expect("the machine is not in use");
    for block in blocks {
        assert!(!rig.heap.owns(rig.address(block)));
    }
}

archipelago_testing::on_every_geometry!(
    any_number_can_be_looked_up,
    a_heap_that_is_not_there_owns_nothing,
    nothing_is_owned_any_more_when_all_is_freed,
);
