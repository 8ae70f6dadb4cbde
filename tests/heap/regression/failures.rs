//! The account when something fails.

use archipelago::{AllocFlags, Window};
use archipelago_sim::{Mode, Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window};

/// Statistics are charged after success: whichever call fails, they and the frames are those from
/// before the request, except for metadata that stays in stock.
fn a_failing_growth_leaves_statistics_as_they_were<G: SimGeometry>() {
    let bytes = 3 * G::GEOMETRY.arena_bytes() / 2;
    for nth in 1..20 {
        for mode in [Mode::Once, Mode::FromThenOn] {
            let window = lone_window::<G>(4 * G::GEOMETRY.arena_bytes());
            let rig = Rig::<G>::on(Sim::builder().zeroed_frames(true).build(), &[window]);
            let block = rig.get(8, 8);
            let before = rig.heap.stats();
            rig.machine.fail_nth(nth, mode);
            let grown = rig.allocate(layout(bytes, 8), AllocFlags::empty());
            rig.machine.disarm();
            rig.check();
            rig.verify();
            let Err(_) = grown else {
                continue;
            };
            assert!(rig.machine.injected() > 0);
            let after = rig.heap.stats();
            assert_eq!(after.prepared, before.prepared, "call {nth}, {mode:?}");
            assert_eq!(
                after.mapped_ready - after.metadata(),
                before.mapped_ready - before.metadata()
            );
            assert_eq!(after.owned_pages, before.owned_pages);
            let grown = rig.get(bytes, 8);
            rig.free(grown);
            rig.free(block);
            rig.check();
        }
    }
}

/// A window that could not be added leaves nothing.
fn a_window_that_fails_leaves_statistics_as_they_were<G: SimGeometry>() {
    let home = lone_window::<G>(100 * Rig::<G>::PAGE);
    for nth in 1..10 {
        let rig = Rig::<G>::on(Sim::builder().zeroed_frames(true).build(), &[home]);
        // The array of ranges is full, so that the next window needs a larger one.
        let window = |number: usize| {
            let base = home.base + (2 + 2 * number) * home.bytes;
            Window::new(base, Rig::<G>::PAGE)
        };
        let mut number = 0;
        while rig.heap.stats().metadata() == 0 || number < 15 {
            rig.heap.add_window(window(number)).expect("a good window");
            number += 1;
        }
        let before = rig.heap.stats();
        rig.machine.fail_nth(nth, Mode::FromThenOn);
        let added = rig.heap.add_window(window(number));
        rig.machine.disarm();
        rig.check();
        rig.verify();
        if added.is_err() {
            let after = rig.heap.stats();
            assert_eq!(
                after.reserved + after.prepared + after.mapped_ready,
                before.reserved + before.prepared + before.mapped_ready
            );
            rig.heap.add_window(window(number)).expect("a good window");
        }
        rig.check();
    }
}

archipelago_testing::on_every_geometry!(
    a_failing_growth_leaves_statistics_as_they_were,
    a_window_that_fails_leaves_statistics_as_they_were,
);
