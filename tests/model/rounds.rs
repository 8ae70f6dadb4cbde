//! Rounds of random operations: every geometry, windows everywhere, every kind of frame allocator.

use std::env;
use std::thread;

use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Placement, Rig, placements};
use fastrand::Rng;

use crate::operations::{Scale, step};
use crate::shadow::Shadow;

/// Operations on one geometry in an ordinary run.
const OPERATIONS: usize = if cfg!(miri) { 2_000 } else { 24_000 };

/// Operations in a round.
const ROUND: usize = if cfg!(miri) { 170 } else { 250 };

/// Pages of a heap whose invariants are checked after every step.
const SMALL_PAGES: usize = 256;

/// The settings of one round.
#[derive(Clone, Debug)]
struct Round {
    placement: Placement,
    bytes: usize,
    zeroed_frames: bool,
    takes_back: bool,
    frames: usize,
    /// Steps from one check of the account to the next.
    check_every: usize,
    /// Steps from one check of all invariants to the next.
    verify_every: usize,
    operations: usize,
}

/// The seed of this run: the one asked for, or a new one.
pub(crate) fn seed() -> u64 {
    let asked = env::var("ARCHIPELAGO_SEED").ok();
    asked.map_or_else(
        || fastrand::u64(..),
        |seed| seed.parse().expect("ARCHIPELAGO_SEED is a number"),
    )
}

/// Operations of the whole run, if `ARCHIPELAGO_OPERATIONS` sets their number.
fn asked_operations() -> Option<usize> {
    let asked = env::var("ARCHIPELAGO_OPERATIONS").ok()?;
    Some(asked.parse().expect("ARCHIPELAGO_OPERATIONS is a number"))
}

/// Prints how to reproduce a failure when a failing test unwinds.
pub(crate) struct Replay {
    /// The seed of the run.
    pub(crate) seed: u64,
    /// The round that is running.
    pub(crate) at: String,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("ARCHIPELAGO_SEED={}: {}", self.seed, self.at);
        }
    }
}

fn the_heap_agrees_with_the_shadow_map<G: SimGeometry>() {
    let asked = asked_operations();
    let operations = asked.map_or(OPERATIONS, |asked| asked.div_ceil(5));
    let seed = seed();
    println!("ARCHIPELAGO_SEED={seed}, {operations} operations");
    let mut random = Rng::with_seed(seed);
    let mut replay = Replay {
        seed,
        at: String::new(),
    };
    let (mut done, mut served, mut told) = (0, 0, 0);
    for number in 0.. {
        if done >= operations {
            break;
        }
        let round = choose::<G>(number, &mut random);
        replay.at = format!("round {number}: {round:?}");
        served += run::<G>(&round, &mut random);
        done += round.operations;
        if asked.is_some() && done - told >= operations / 100 {
            told = done;
            println!(
                "{}: {done} of {operations} operations",
                core::any::type_name::<G>()
            );
        }
    }
    println!("{served} of {done} operations were served");
    assert!(served > done / 2, "most operations are served");
}

/// Round `number`: placements and frame allocators by turns, so that a short run meets them all.
fn choose<G: SimGeometry>(number: usize, random: &mut Rng) -> Round {
    let is_small = cfg!(miri) || number % 2 == 0;
    let bytes = if is_small {
        SMALL_PAGES * Rig::<G>::PAGE
    } else {
        64 << 20
    };
    let mut placements = placements::<G>(bytes);
    let placement = placements.swap_remove(number / 2 % placements.len());
    let bytes = placement
        .windows
        .iter()
        .chain(&placement.later)
        .map(|window| window.bytes)
        .sum();
    Round {
        placement,
        bytes,
        zeroed_frames: random.bool(),
        takes_back: random.bool(),
        frames: if random.u8(..4) == 0 {
            random.usize(64..256)
        } else {
            usize::MAX
        },
        check_every: if cfg!(miri) { 16 } else { 1 },
        verify_every: match (cfg!(miri), is_small) {
            (true, _) => 100,
            (false, true) => 1,
            (false, false) => 64,
        },
        operations: if number < 100 {
            ROUND
        } else {
            random.usize(ROUND..80 * ROUND)
        },
    }
}

/// Runs a round and returns how many operations were served.
fn run<G: SimGeometry>(round: &Round, random: &mut Rng) -> usize {
    let machine = Sim::builder()
        .frames(round.frames)
        .zeroed_frames(round.zeroed_frames)
        .takes_back(round.takes_back)
        .build();
    let rig = Rig::<G>::on(machine, &round.placement.windows);
    let mut shadow = Shadow::new(&rig, &*rig.heap);
    let page = Rig::<G>::PAGE;
    let scale = Scale {
        live_bytes: if cfg!(miri) {
            8 * page
        } else {
            round.bytes / 2
        },
        largest: if cfg!(miri) {
            2 * page
        } else {
            round.bytes / 4
        },
    };
    let mut served = 0;
    for number in 0..round.operations {
        if number == round.operations / 3 {
            if let Some(window) = round.placement.later {
                // Under scarce frames there may be none for the list of windows.
                let added = rig.heap.add_window(window);
                assert!(added.is_ok() || round.frames < usize::MAX, "{added:?}");
            }
        }
        served += usize::from(step(&mut shadow, random, scale));
        if number % round.check_every == 0 {
            rig.check();
        }
        if number % round.verify_every == 0 {
            rig.verify();
        }
    }
    shadow.check_contents();
    shadow.free_all();
    rig.check();
    rig.verify();
    served
}

archipelago_testing::on_every_geometry!(the_heap_agrees_with_the_shadow_map);
