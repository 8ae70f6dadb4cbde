//! Maintenance that leaves a fence out is noticed.

use archipelago_api::{Machine as _, Patience, VirtRange};
use archipelago_paging::{Owned, Paging, Tlb, pieces};

use crate::machine::{Fence as _, Sv39};
use crate::physical::{Cpu, PAGE, Source, Tables, radix_tables, range};

/// Over the end of a last-level table.
const WINDOW: usize = 0xffff_ffd0_0020_0000 - 8 * PAGE;

/// Fences pages alone, also where tables are freed.
struct PagesAlone(Cpu);

// SAFETY: the maintenance breaks the contract on purpose. The test accesses no memory of the
// machine's.
unsafe impl Tlb for PagesAlone {
    fn flush(&self, range: VirtRange) {
        pieces(range, PAGE).for_each(|page| self.0.page(page.base().value()));
    }

    fn filled(&self, range: VirtRange) {
        self.flush(range);
    }
}

/// Fences no pages that became Ready.
struct Unfilled(Cpu);

// SAFETY: the maintenance breaks the contract on purpose. The test accesses no memory of the
// machine's.
unsafe impl Tlb for Unfilled {
    fn flush(&self, range: VirtRange) {
        self.0.flush(range);
    }

    fn filled(&self, _range: VirtRange) {}
}

type Machine<T> = Paging<Sv39, Tables, Source, Owned<Tables, Source>, T>;

/// A machine with 16 pages in `WINDOW` that were touched before they became Ready, and after.
fn touched<T: Tlb>(source: &Source, tlb: T) -> (Machine<T>, usize) {
    // SAFETY:
    // - an `Owned` always holds the same tables and the same source;
    // - the only CPU walks these tables;
    // - every frame lies in the memory, which is not at address 0;
    // - the CPU needs no setting up;
    // - tests change no entries of reserved ranges.
    let paging = unsafe { Paging::new(radix_tables(source), *source) };
    let machine = paging.returning().with_tlb(tlb);
    let window = range(WINDOW, 16);
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { machine.reserve(window, Patience::Wait) }.expect("it is empty");
    // SAFETY: the window is Reserved.
    unsafe { machine.prepare(window, Patience::Wait) }.expect("there are frames");
    assert_eq!(source.touch(window), 0);
    // SAFETY: the window is Prepared.
    unsafe { machine.commit(window, Patience::Wait) }.expect("there are frames");
    let reached = source.touch(window);
    (machine, reached)
}

#[test]
#[should_panic(expected = "a CPU still caches")]
fn without_a_fence_for_links_the_cpu_goes_on_walking_freed_tables() {
    let source = Source::new(64);
    let (machine, reached) = touched(&source, PagesAlone(Cpu(source)));
    assert_eq!(reached, 16);
    // SAFETY:
    // - the window is reserved;
    // - nothing uses it.
    let _ = unsafe { machine.release(range(WINDOW, 16), Patience::Wait) };
}

#[test]
fn without_a_fence_for_ready_pages_the_cpu_goes_on_missing_them() {
    let source = Source::new(64);
    let (_, reached) = touched(&source, Unfilled(Cpu(source)));
    assert_eq!(reached, 0);
}
