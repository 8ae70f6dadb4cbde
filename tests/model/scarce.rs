//! Running out of memory, and recovery.

use core::alloc::Layout;

use archipelago::{AllocFlags, Cause};
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window};
use fastrand::Rng;

use crate::rounds::{Replay, seed};

/// Frames of the machine that runs out.
const FRAMES: usize = 300;

/// Allocates objects of the sizes that `next` returns, until the first refusal.
fn fill<G: SimGeometry>(
    rig: &Rig<G>,
    mut next: impl FnMut() -> Option<Layout>,
) -> (Vec<Block>, Option<Cause>) {
    let mut blocks = Vec::new();
    while let Some(layout) = next() {
        match rig.allocate(layout, AllocFlags::empty()) {
            Ok(block) => blocks.push(block),
            Err(error) => return (blocks, Some(error.cause)),
        }
    }
    (blocks, None)
}

fn free_in_any_order<G: SimGeometry>(rig: &Rig<G>, mut blocks: Vec<Block>, random: &mut Rng) {
    random.shuffle(&mut blocks);
    for block in blocks {
        rig.free(block);
        rig.check();
    }
    rig.verify();
}

fn out_of_frames_is_an_error_and_not_for_ever<G: SimGeometry>() {
    let seed = seed();
    println!("ARCHIPELAGO_SEED={seed}");
    let _replay = Replay {
        seed,
        at: String::from("scarce frames"),
    };
    let mut random = Rng::with_seed(seed);
    let window = lone_window::<G>(4 * FRAMES * Rig::<G>::PAGE);
    for takes_back in [true, false] {
        let machine = Sim::builder().frames(FRAMES).takes_back(takes_back).build();
        let rig = Rig::<G>::on(machine, &[window]);
        let mut asked = Vec::new();
        let (blocks, cause) = fill(&rig, || {
            let most = if random.u8(..8) == 0 {
                5 * Rig::<G>::PAGE
            } else {
                500
            };
            let wanted = layout(random.usize(1..=most), 8);
            asked.push(wanted);
            Some(wanted)
        });
        assert!(
            matches!(cause, Some(Cause::Frames { .. } | Cause::PageTables { .. })),
            "{cause:?}"
        );
        rig.check();
        rig.verify();
        let served = blocks.len();
        free_in_any_order(&rig, blocks, &mut random);
        // Requests that were served once are served again.
        let mut again = asked.into_iter().take(served);
        let (blocks, cause) = fill(&rig, || again.next());
        assert_eq!(
            (blocks.len(), cause),
            (served, None),
            "{}",
            rig.heap.stats()
        );
        rig.check();
        free_in_any_order(&rig, blocks, &mut random);
    }
}

fn out_of_address_space_is_an_error_and_not_for_ever<G: SimGeometry>() {
    let pages = 1200;
    let window = lone_window::<G>(pages * Rig::<G>::PAGE);
    let rig = Rig::<G>::on(Sim::default(), &[window]);
    let page = layout(Rig::<G>::PAGE, Rig::<G>::PAGE);
    let (blocks, cause) = fill(&rig, || Some(page));
    assert!(
        matches!(
            cause,
            Some(Cause::Window { .. } | Cause::MetadataWindow { .. })
        ),
        "{cause:?}"
    );
    let served = blocks.len();
    assert!(
        served * 10 > pages * 9,
        "{served} pages of {pages} could be used"
    );
    free_in_any_order(&rig, blocks, &mut Rng::with_seed(1));
    let (blocks, _) = fill(&rig, || Some(page));
    assert_eq!(blocks.len(), served);
}

archipelago_testing::on_every_geometry!(
    out_of_frames_is_an_error_and_not_for_ever,
    out_of_address_space_is_an_error_and_not_for_ever,
);
