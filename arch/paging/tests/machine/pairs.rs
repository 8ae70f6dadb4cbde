//! A TLB that holds pairs of pages, and remembers that one of them was not there.

use archipelago_api::{Machine as _, Patience, VirtRange};
use archipelago_paging::{Paging, Tlb};
use archipelago_paging_testing::Walked as _;

use crate::physical::{PAGE, Pages, Whole, each_page, range};
use crate::source::{Cpu, Machine, Source, machine};

/// An even page and the odd one beside it.
const PAIR: usize = 0x4000_2000;

fn prepared(source: &Source) -> Machine {
    let machine = machine::<Whole>(source, true);
    prepare(&machine, range(PAIR, 2));
    machine
}

fn prepare(machine: &impl archipelago_api::Machine, window: VirtRange) {
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
}

fn commit(machine: &impl archipelago_api::Machine, range: VirtRange) {
    // SAFETY: the test committed nothing there yet.
    unsafe { machine.commit(range, Patience::Wait) }.expect("there are frames");
}

#[test]
fn a_page_that_comes_beside_a_remembered_one_is_found() {
    for (first, second) in [(PAIR, PAIR + PAGE), (PAIR + PAGE, PAIR)] {
        let source = Source::new(16);
        let machine = prepared(&source);
        commit(&machine, range(first, 1));
        assert_eq!(source.touch(range(PAIR, 2)), 1, "both halves are resident");
        commit(&machine, range(second, 1));
        for page in each_page(range(PAIR, 2)) {
            assert_eq!(source.reach(page), source.physical.ready(page), "{page}");
            assert!(source.reach(page).is_some());
        }
    }
}

#[test]
fn a_page_that_goes_leaves_its_half_of_the_pair_and_no_more() {
    for (gone, stays) in [(PAIR, PAIR + PAGE), (PAIR + PAGE, PAIR)] {
        let source = Source::new(16);
        let machine = prepared(&source);
        commit(&machine, range(PAIR, 2));
        assert_eq!(source.touch(range(PAIR, 2)), 2);
        let (gone, stays) = (range(gone, 1), range(stays, 1));
        let frame = source.physical.ready(stays.base());
        // SAFETY:
        // - the page is Ready;
        // - nothing uses it.
        unsafe { machine.decommit(gone, Patience::Wait) }.expect("waited");
        assert_eq!(source.reach(gone.base()), None);
        assert_eq!(source.reach(stays.base()), frame);
        // SAFETY:
        // - the page is Ready;
        // - nothing uses it.
        unsafe { machine.fault(stays, Patience::Wait) }.expect("waited");
        assert_eq!(source.touch(range(PAIR, 2)), 0);
    }
}

/// Forgets nothing when pages become Ready.
struct Forgetful(Cpu);

// SAFETY: none: the test shows that it is found out, and touches no memory.
unsafe impl Tlb for Forgetful {
    fn flush(&self, range: VirtRange) {
        self.0.flush(range);
    }

    fn filled(&self, _range: VirtRange) {}
}

#[test]
fn without_being_told_the_cpu_goes_on_missing_a_page() {
    let source = Source::new(16);
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let machine: Machine<Whole, _, ()> =
        unsafe { Paging::new(Pages::over(source.physical), source) };
    let machine = machine.with_tlb(Forgetful(Cpu(source)));
    prepare(&machine, range(PAIR, 2));
    commit(&machine, range(PAIR, 1));
    source.touch(range(PAIR, 2));
    commit(&machine, range(PAIR + PAGE, 1));
    assert_eq!(source.touch(range(PAIR, 2)), 1);
}
