//! Tests of single transitions, for a machine over frames of a [`Source`].
//!
//! A machine's tests make the machine and choose the ranges.

use archipelago_api::{CommitError, Contents, Footprint, Machine, Patience, VirtRange};

use crate::{PAGE, Source, Walked, each_page};

/// Pages of `range` that the tables translate.
#[must_use]
pub fn ready_pages<P: Walked>(source: &Source<P>, range: VirtRange) -> usize {
    each_page(range)
        .filter(|&page| source.physical.ready(page).is_some())
        .count()
}

/// Checks that frames allocated, less those given back, are those of Ready pages, tables and
/// held ones.
fn balanced<P: Walked>(source: &Source<P>, footprint: Footprint, ready: usize) {
    assert_eq!(
        source.out(),
        ready + footprint.table_frames + footprint.held_frames
    );
}

/// Checks that all frames were given back.
fn nothing_left<P: Walked>(source: &Source<P>, machine: &impl Machine) {
    let left = (source.out(), machine.footprint());
    assert_eq!(left, (0, Footprint::default()));
}

/// Reserves a window and makes all of it Ready.
pub fn make_ready(machine: &impl Machine, window: VirtRange) {
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
}

/// Takes a window of an even number of pages, which nothing was reserved of, through every
/// transition of a machine that gives frames back. Returns the flushes of the last.
pub fn live_and_die<P: Walked>(
    source: &Source<P>,
    machine: &impl Machine,
    window: VirtRange,
) -> Vec<VirtRange> {
    let pages = window.bytes() / PAGE;
    let nothing = source.physical.picture();
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    assert_eq!(source.books().requests, 0, "reserving takes no memory");
    let (low, high) = window.split_at(window.bytes() / 2).expect("shorter");

    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let prepared = source.physical.picture();
    assert_eq!(ready_pages(source, window), 0);
    balanced(source, machine.footprint(), 0);
    assert_eq!(source.touch(window), 0);

    // SAFETY: the window is Prepared.
    let contents = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(contents, Ok(Contents::Unknown));
    assert_eq!(ready_pages(source, window), pages);
    assert_eq!(source.touch(window), pages);
    balanced(source, machine.footprint(), pages);

    // SAFETY:
    // - the half is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(low, Patience::Wait) }.expect("waited");
    let ready = (ready_pages(source, low), ready_pages(source, high));
    assert_eq!(ready, (0, pages / 2));
    assert_eq!((source.touch(low), source.touch(high)), (0, pages / 2));
    assert_eq!(source.books().flushes, [low], "once, and no tables went");
    balanced(source, machine.footprint(), pages / 2);

    // SAFETY:
    // - the half is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(high, Patience::Try) }.expect("no lock is held");
    assert_eq!(source.physical.picture(), prepared);

    // SAFETY: the half is Prepared.
    unsafe { machine.commit(high, Patience::Wait) }.expect("there are frames");
    source.touch(window);
    source.books().flushes.clear();
    // SAFETY:
    // - the window is Prepared below and Ready above;
    // - nothing uses it.
    unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
    assert_eq!(source.physical.picture(), nothing, "the tables went");
    let flushes = core::mem::take(&mut source.books().flushes);
    nothing_left(source, machine);

    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window, Patience::Wait) }.expect("waited");
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it was released");
    flushes
}

/// Releases a window of which `prepared` was prepared and `ready`, a part of that, is Ready, from a
/// machine that gives frames back.
pub fn release_of_every_state<P: Walked>(
    source: &Source<P>,
    machine: &impl Machine,
    [window, prepared, ready]: [VirtRange; 3],
    patience: Patience,
) {
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, patience) }.expect("it is empty");
    // SAFETY: the part is Reserved.
    unsafe { machine.prepare(prepared, patience) }.expect("there are frames");
    // SAFETY: the part is Prepared.
    unsafe { machine.commit(ready, patience) }.expect("there are frames");
    source.touch(window);
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window, patience) }.expect("no lock is held");
    assert!(source.physical.picture().is_empty());
    nothing_left(source, machine);
}

/// Uses a window that needs `tables` tables several times, on a machine that holds frames.
pub fn held_frames_are_used_first<P: Walked>(
    source: &Source<P>,
    machine: &impl Machine,
    window: VirtRange,
    tables: usize,
) {
    let pages = window.bytes() / PAGE;
    let check = |ready, table_frames, held_frames| {
        let footprint = machine.footprint();
        let frames = (footprint.table_frames, footprint.held_frames);
        assert_eq!(frames, (table_frames, held_frames));
        balanced(source, footprint, ready);
    };
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    for round in 0..3 {
        // SAFETY: the window is Reserved.
        unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
        // SAFETY: the window is Prepared.
        unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
        check(pages, tables, 0);
        source.touch(window);
        // SAFETY:
        // - the window is Ready;
        // - nothing uses it.
        unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
        check(0, tables, pages);
        // SAFETY:
        // - the window is Prepared;
        // - nothing uses it.
        unsafe { machine.fault(window, Patience::Wait) }.expect("waited");
        check(0, 0, pages + tables);
        let requests = source.books().requests;
        assert_eq!(requests, pages + tables, "round {round}");
    }
}

/// Commits a window with adjacent frames, takes them away, and asks a source without so many.
/// `machine` supplies adjacent frames, and the window is Prepared.
pub fn adjacent_frames_are_adjacent<P: Walked>(
    source: &Source<P>,
    machine: &impl Machine,
    window: VirtRange,
) {
    let (pages, out) = (window.bytes() / PAGE, source.out());
    let align = 8 * PAGE;
    // SAFETY: the window is Prepared.
    let first = unsafe { machine.commit_adjacent(window, align, Patience::Wait) };
    let first = first.expect("there are frames").value();
    assert_eq!(first % align as u64, 0);
    for (number, page) in each_page(window).enumerate() {
        let frame = source.physical.ready(page).expect("it is Ready");
        assert_eq!(frame.value(), first + (number * PAGE) as u64);
    }
    assert_eq!(source.touch(window), pages);
    assert_eq!(source.out(), out + pages);
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
    balanced(source, machine.footprint(), 0);
    let before = (source.physical.picture(), source.out(), machine.footprint());
    // SAFETY: the window is Prepared.
    let refused = unsafe { machine.commit_adjacent(window, 1 << 30, Patience::Wait) };
    assert_eq!(refused, Err(CommitError::Adjacent { needed: pages }));
    assert_eq!(
        (source.physical.picture(), source.out(), machine.footprint()),
        before
    );
}

/// Takes the memory of a window away in pieces of `piece` pages, the highest first, as a heap
/// scavenges, and gives it memory again: frames that were in order are so again.
pub fn frames_come_back_in_their_order<P: Walked>(
    source: &Source<P>,
    machine: &impl Machine,
    window: VirtRange,
    piece: usize,
) {
    make_ready(machine, window);
    let frames = || -> Vec<_> {
        let ready = |page| source.physical.ready(page).expect("it is Ready");
        each_page(window).map(ready).collect()
    };
    let before = frames();
    assert!(
        before.is_sorted_by_key(|frame| frame.value()),
        "the source hands them out in order"
    );
    for start in (0..window.bytes() / PAGE).step_by(piece).rev() {
        let (_, rest) = window.split_at(start * PAGE).expect("it is inside");
        let bytes = rest.bytes().min(piece * PAGE);
        let (part, _) = rest.split_at(bytes).expect("no longer than the rest");
        // SAFETY:
        // - the part is Ready;
        // - nothing uses it.
        unsafe { machine.decommit(part, Patience::Wait) }.expect("waited");
    }
    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
    assert_eq!(frames(), before);
}

/// Commits a window twice on a machine that holds frames, whose source hands out zeroed ones.
pub fn only_new_frames_are_known_to_be_zero<P: Walked>(
    source: &Source<P>,
    machine: &impl Machine,
    window: VirtRange,
) {
    let memory = source.physical.memory();
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    // SAFETY: the window is Prepared.
    let first = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(first, Ok(Contents::Zeroed));
    for page in each_page(window) {
        let frame = source.physical.ready(page).expect("it is Ready");
        assert!(memory.holds(frame, 0), "{page} was written to");
        memory.fill(frame, P::JUNK);
    }
    // SAFETY:
    // - the window is Ready;
    // - nothing uses it.
    unsafe { machine.decommit(window, Patience::Wait) }.expect("waited");
    // SAFETY: the window is Prepared.
    let again = unsafe { machine.commit(window, Patience::Wait) };
    assert_eq!(again, Ok(Contents::Unknown), "these were used before");
}

/// Makes `ready` Ready, a part of a window of whose tables all but one are the kernel's, and
/// releases the window from a machine that gives frames back.
pub fn tables_of_the_kernel_stay<P: Walked>(
    source: &Source<P>,
    machine: &impl Machine,
    window: VirtRange,
    ready: VirtRange,
) {
    let before = (source.physical.picture(), source.out());
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    let made = machine.footprint().table_frames;
    assert_eq!(made, 1, "the other tables were there");
    // SAFETY: the part is Prepared.
    unsafe { machine.commit(ready, Patience::Wait) }.expect("there are frames");
    assert_eq!(source.touch(window), ready.bytes() / PAGE);
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    unsafe { machine.release(window, Patience::Wait) }.expect("waited");
    assert_eq!((source.physical.picture(), source.out()), before);
    assert_eq!(machine.footprint().table_frames, 0);
}
