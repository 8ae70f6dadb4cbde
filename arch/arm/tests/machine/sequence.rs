//! The instructions of each transition, with the state of the tables at each of them, against the
//! order that the manual demands.

use alloc::boxed::Box;
use std::sync::Mutex;

use archipelago_api::{Machine as _, Patience, VirtAddr, VirtRange};
use archipelago_arm::maintenance::{Instructions, SINGLE_PAGES};
use archipelago_arm::{Maintenance, Owned, Paging, Roots, Walks};
use archipelago_paging_testing::{FrameMemory, Walked as _};

use crate::physical::{PAGE, Physical, Source, maintained, range};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Dsb,
    Isb,
    Page(usize),
    All,
    Clean,
}
use Did::{All, Clean, Dsb, Isb, Page};

/// The tables that are linked and the pages that are valid in the window, at an instruction.
type Seen = (usize, usize);

/// Records instructions.
#[derive(Clone, Copy, Debug)]
struct Record(&'static Log);

#[derive(Debug)]
struct Log {
    physical: Physical,
    window: VirtRange,
    entries: Mutex<Vec<(Did, Seen)>>,
}

impl Record {
    fn of(physical: Physical, window: VirtRange) -> Self {
        Self(Box::leak(Box::new(Log {
            physical,
            window,
            entries: Mutex::new(Vec::new()),
        })))
    }

    fn add(self, did: Did) {
        let pages = (0..self.0.window.bytes()).step_by(PAGE);
        let at = |page| VirtAddr::new(self.0.window.base().value() + page);
        let linked = pages
            .clone()
            .step_by(1024)
            .filter(|&page| self.0.physical.first_level(at(page)) != 0)
            .count();
        let valid = pages
            .filter(|&page| self.0.physical.ready(at(page)).is_some())
            .count();
        self.entries().push((did, (linked, valid)));
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<(Did, Seen)>> {
        self.0
            .entries
            .lock()
            .expect("no test panics with the lock held")
    }

    fn taken(self) -> Vec<(Did, Seen)> {
        core::mem::take(&mut self.entries())
    }
}

// SAFETY: no CPU walks the tables.
unsafe impl Instructions for Record {
    fn dsb(&self) {
        self.add(Dsb);
    }

    fn isb(&self) {
        self.add(Isb);
    }

    fn invalidate_page(&self, address: usize) {
        self.add(Page(address));
    }

    fn invalidate_all(&self) {
        self.add(All);
    }

    fn clean(&self, _address: usize) {
        self.add(Clean);
    }
}

type Tables = Roots<FrameMemory, Record>;
type Recorded = Paging<Tables, Source, Owned<Tables, Source>, Maintenance<Record>>;

fn machine(window: VirtRange, walks: Walks) -> (Recorded, Record) {
    let source = Source::new(512);
    let record = Record::of(source.physical, window);
    let roots = maintained(&source.physical, walks, record);
    // SAFETY:
    // - the locks, or the machine itself, always hold these tables and this source;
    // - only the CPU of the test translates through the tables;
    // - every frame lies in the memory of the test, which is not at address 0;
    // - the CPU of the test needs no setting up;
    // - the tests change no entries of reserved ranges.
    let machine = unsafe { Paging::new(roots, source) };
    let machine = machine.returning().with_tlb(Maintenance(record));
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    (machine, record)
}

const BASE: usize = 0x9000_0000;

/// The obligations of B3.10.1 for each transition, one line each.
#[test]
fn each_transition_emits_what_the_manual_demands_in_its_order() {
    let window = range(BASE, 2);
    let (machine, record) = machine(window, Walks::Coherent);

    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    // A table's entries before its link.
    assert_eq!(record.taken(), [(Dsb, (0, 0))]);

    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
    // Entries that became valid: stores complete, later instructions start later.
    assert_eq!(record.taken(), [(Dsb, (1, 2)), (Isb, (1, 2))]);

    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
    // Entries that were valid: gone before anything is invalidated, and complete at the end.
    let invalidated = [
        (Dsb, (1, 0)),
        (Page(BASE), (1, 0)),
        (Page(BASE + PAGE), (1, 0)),
        (Dsb, (1, 0)),
        (Isb, (1, 0)),
    ];
    assert_eq!(record.taken(), invalidated);

    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
    record.taken();
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
    // The table's link is gone before cached copies of it are, all over its 4 MiB.
    let table = [(Dsb, (0, 0)), (All, (0, 0)), (Dsb, (0, 0)), (Isb, (0, 0))];
    assert_eq!(record.taken(), [&invalidated[..], &table[..]].concat());

    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window, Patience::Wait) }.expect("waited");
    assert_eq!(record.taken(), [], "nothing was there to forget");
}

#[test]
fn more_pages_than_the_threshold_go_with_the_whole_tlb() {
    for (pages, whole) in [(SINGLE_PAGES, false), (SINGLE_PAGES + 1, true)] {
        let window = range(BASE, pages);
        let (machine, record) = machine(window, Walks::Coherent);
        // SAFETY: the window is Reserved.
        unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
        // SAFETY: the window is Prepared.
        unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
        record.taken();
        // SAFETY:
        // - the window is Ready;
        // - nothing uses it.
        unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
        let did: Vec<_> = record.taken().into_iter().map(|(did, _)| did).collect();
        assert_eq!(did.contains(&All), whole);
        assert_eq!(did.len(), if whole { 4 } else { 3 + pages });
    }
}

#[test]
fn where_walks_see_no_caches_every_store_is_cleaned_before_the_barrier() {
    let window = range(BASE, 9);
    let (machine, record) = machine(window, Walks::Cleaned);
    let did = || -> Vec<Did> { record.taken().into_iter().map(|(did, _)| did).collect() };
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    // A whole table of 128 lines, the barrier, its link, and the two lines of nine entries.
    let expected = [vec![Clean; 128], vec![Dsb, Clean, Clean, Clean]].concat();
    assert_eq!(did(), expected);
    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
    let twice = [Clean; 4];
    assert_eq!(did(), [&twice[..], &[Dsb, Isb]].concat());
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
    let did = did();
    let (pages, table): (Vec<_>, Vec<_>) = (did[..3].to_vec(), did[did.len() - 5..].to_vec());
    assert_eq!(pages, [Clean, Clean, Dsb]);
    assert_eq!(table, [Clean, Dsb, All, Dsb, Isb]);
}
