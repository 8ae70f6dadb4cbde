//! The simulated machine keeps the contract in every shape and with every kind of frame allocator.

use core::cell::RefCell;

use archipelago_api::{Machine, VirtAddr, VirtRange};
use archipelago_conformance::{LEAST_GRANULES, Progress, Subject};
#[cfg(not(miri))]
use archipelago_sim::WidePage;
use archipelago_sim::{Builder, Plain31, Plain32, Sim, SimGeometry, Small};

/// A machine and a window of 21 granules over the end of a page table.
fn made<G: SimGeometry>(builder: Builder<G>) -> (Sim<G>, VirtRange) {
    let geometry = G::GEOMETRY;
    let table = 1
        << G::TABLE_SHIFTS
            .first()
            .copied()
            .unwrap_or(geometry.chunk_shift);
    let below = 9 * geometry.granule_bytes();
    let base = VirtAddr::new(geometry.base.wrapping_add(table).wrapping_sub(below));
    (builder.build(), of_21_granules::<G>(base))
}

fn of_21_granules<G: SimGeometry>(base: VirtAddr) -> VirtRange {
    let range = VirtRange::new(base, 21 * G::GEOMETRY.granule_bytes());
    range.unwrap_or_else(|| unreachable!("the range at {base} wraps"))
}

// Miri tests x86_64, the small part, and the top of a 31-bit space: how memory is kept under Miri
// does not depend on the shape, and each machine takes it most of a minute.
#[cfg(not(miri))]
archipelago_conformance::conformance!(plain32, made(Sim::<Plain32>::builder()), exhaust, contend);
#[cfg(not(miri))]
archipelago_conformance::conformance!(plain31, made(Sim::<Plain31>::builder()), exhaust, contend);
#[cfg(not(miri))]
archipelago_conformance::conformance!(small, made(Sim::<Small>::builder()), exhaust, contend);
#[cfg(not(miri))]
archipelago_conformance::conformance!(
    wide_page,
    made(Sim::<WidePage>::builder()),
    exhaust,
    contend
);
#[cfg(target_pointer_width = "64")]
archipelago_conformance::conformance!(
    x86_64,
    made(Sim::<archipelago_sim::X86_64>::builder()),
    exhaust,
    contend
);
#[cfg(not(miri))]
archipelago_conformance::conformance!(
    frames_not_taken_back,
    made(Sim::<Plain32>::builder().takes_back(false)),
    exhaust,
    contend
);
#[cfg(not(miri))]
archipelago_conformance::conformance!(
    zeroed_frames,
    made(Sim::<Plain32>::builder().zeroed_frames(true)),
    exhaust,
    contend
);
archipelago_conformance::conformance!(
    memory_that_does_not_trap,
    made(Sim::<Small>::builder().traps(false).zeroed_frames(true)),
    exhaust,
    contend
);

#[test]
fn all_rules_hold_in_one_run_at_the_top_of_each_space() {
    fn at_the_top<G: SimGeometry>() {
        let (sim, geometry) = (Sim::<G>::default(), G::GEOMETRY);
        let below = 21 * geometry.granule_bytes() - 1;
        let top = geometry.address(geometry.last_offset()).value();
        let subject = Subject::new(&sim, of_21_granules::<G>(VirtAddr::new(top - below)));
        let mut rules = 0;
        subject
            .exhaust(&sim)
            .contend(&sim)
            .run(&mut |rule, outcome| {
                assert_eq!(outcome, Ok(()), "{rule}");
                rules += 1;
            });
        assert!(rules > 0);
        assert_eq!(sim.ranges(), []);
        assert_eq!(sim.footprint().table_frames, 0);
    }
    at_the_top::<Plain31>();
    if !cfg!(miri) {
        at_the_top::<Plain32>();
        at_the_top::<Small>();
        #[cfg(target_pointer_width = "64")]
        at_the_top::<archipelago_sim::X86_64>();
    }
}

#[test]
fn every_rule_is_announced_before_it_is_tested() {
    let (sim, window) = made(Sim::<Plain32>::builder());
    let announced = RefCell::new(Vec::new());
    let note = |progress: Progress| announced.borrow_mut().push(progress);
    let subject = Subject::new(&sim, window).exhaust(&sim).progress(&note);
    let mut tested = 0;
    subject.run(&mut |rule, outcome| {
        tested += 1;
        assert_eq!(outcome, Ok(()), "{rule}");
        let last = announced
            .borrow()
            .last()
            .copied()
            .expect("it was announced");
        assert_eq!((last.rule, last.number), (rule, tested));
    });
    let announced = announced.into_inner();
    assert_eq!(announced.len(), tested);
    assert!(announced.iter().all(|progress| progress.rules == tested));
    assert_eq!(
        announced[1].to_string(),
        format!("2 of {tested}: reserve_refuses_what_overlaps")
    );
}

#[test]
fn a_window_of_the_fewest_granules_is_enough() {
    let sim = Sim::<Plain32>::default();
    let bytes = LEAST_GRANULES * Plain32::GEOMETRY.granule_bytes();
    let window = VirtRange::new(VirtAddr::new(0x10_0000), bytes).expect("does not wrap");
    archipelago_conformance::run(&sim, window, &mut |rule, outcome| {
        assert_eq!(outcome, Ok(()), "{rule}");
    });
}

#[test]
fn a_window_that_is_unfit_is_refused_by_every_rule() {
    let sim = Sim::<Plain32>::default();
    let granule = 0x1000;
    let unfit = [
        (0x10_0000, 15 * granule, "fewer than 16 granules"),
        (0x10_0800, 16 * granule, "not made of granules"),
        (0, 16 * granule, "address 0"),
    ];
    for (base, bytes, expected) in unfit {
        let window = VirtRange::new(VirtAddr::new(base), bytes).expect("does not wrap");
        archipelago_conformance::run(&sim, window, &mut |rule, outcome| {
            let said = outcome.expect_err("the window is unfit");
            assert!(said.contains(expected), "{rule}: {said}");
        });
    }
    assert_eq!(sim.calls().total(), 0);
}

#[test]
fn a_rule_that_does_not_exist_or_cannot_be_asked_about_does_not_hold() {
    let (sim, window) = made(Sim::<Plain32>::builder());
    assert!(Subject::new(&sim, window).check("no_such_rule").is_err());
    assert!(
        Subject::new(&sim, window)
            .check("commit_is_all_or_nothing")
            .is_err()
    );
    let subject = Subject::new(&sim, window).exhaust(&sim);
    assert_eq!(subject.check("commit_is_all_or_nothing"), Ok(()));
}
