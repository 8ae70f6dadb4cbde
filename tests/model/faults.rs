//! Tests of the model: it finds every planted fault.

use core::alloc::Layout;
use core::cell::Cell;
use core::panic::AssertUnwindSafe;
use core::ptr::NonNull;
use std::panic::catch_unwind;

use archipelago::{AllocError, AllocFlags, Machine, VirtAddr, VirtRange};
use archipelago_api::Patience;
use archipelago_sim::Plain32;
use archipelago_testing::{Rig, layout};
use fastrand::Rng;

use crate::operations::{Scale, step};
use crate::shadow::Shadow;
use crate::subject::Subject;

/// A fault of a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Hands out memory that is in use.
    Overlaps,
    /// Hands out memory that is not zero as zeroed.
    Dirty,
    /// Does not copy when it moves an object.
    Forgets,
    /// Does not clear what a zeroed reallocation adds.
    DirtyTail,
    /// Hands out less than was asked for.
    Short,
    /// Hands out an address that is not aligned.
    Misaligned,
    /// Writes to an object that it handed out.
    Scribbles,
    /// Does not free.
    Leaks,
    /// Grows on behalf of requests that must not.
    Grows,
    /// Hands out a run whose pages are in use.
    RunOverlaps,
    /// Hands out a run that is not zero as zeroed.
    DirtyRun,
    /// Hands out a run of fewer pages than were asked for.
    ShortRun,
    /// Does not clear the pages that a zeroed extension adds.
    DirtyExtension,
    /// Writes to a run that it does not extend.
    ScribblesOnRun,
    /// Moves a run instead of extending it in place.
    MovesRun,
    /// Does not free a run.
    LeaksRun,
    /// Does not free the pages after those that a run keeps.
    LeaksTail,
}

const FAULTS: [(Fault, &str); 17] = [
    (Fault::Overlaps, "overlaps the object"),
    (Fault::Dirty, "is dirty"),
    (Fault::Forgets, "lost contents"),
    (Fault::DirtyTail, "is dirty"),
    (Fault::Short, "got"),
    (Fault::Misaligned, "got"),
    (Fault::Scribbles, "was damaged"),
    (Fault::Leaks, "objects are left"),
    (Fault::Grows, "called the machine"),
    (Fault::RunOverlaps, "overlaps the object"),
    (Fault::DirtyRun, "is dirty"),
    (Fault::ShortRun, "the run of"),
    (Fault::DirtyExtension, "the tail of the run"),
    (Fault::ScribblesOnRun, "was damaged"),
    (Fault::MovesRun, "was not extended in place"),
    (Fault::LeaksRun, "pages in runs"),
    (Fault::LeaksTail, "the run of"),
];

/// A heap with a fault in one of its results.
struct Faulty<'a> {
    rig: &'a Rig<Plain32>,
    fault: Fault,
    /// Requests until the fault shows.
    fuse: Cell<usize>,
    last: Cell<Option<NonNull<[u8]>>>,
    last_run: Cell<Option<NonNull<[u8]>>>,
}

impl Faulty<'_> {
    /// Whether the fault shows now: in one request, or in those that could show it until one does.
    fn strikes(&self, fault: Fault, could: bool) -> bool {
        if self.fault != fault || !could {
            return false;
        }
        let fuse = self.fuse.get();
        self.fuse.set(fuse.saturating_sub(1));
        fuse == 1
    }
}

impl Subject for Faulty<'_> {
    fn allocate(&self, layout: Layout, flags: AllocFlags) -> Result<NonNull<[u8]>, AllocError> {
        let mut flags = flags;
        if self.strikes(Fault::Grows, flags.contains(AllocFlags::NO_GROW)) {
            // The heap grows, since it has too little memory for this request.
            let largest = self.rig.heap.stats().largest_free_run + 1;
            let block = self.rig.get(largest * Rig::<Plain32>::PAGE, 8);
            self.rig.free(block);
        }
        if self.strikes(Fault::Dirty, flags.contains(AllocFlags::ZEROED)) {
            flags.remove(AllocFlags::ZEROED);
        }
        if let Some(last) = self.last.get() {
            let fits = last.len() >= layout.size() && last.addr().get() % layout.align() == 0;
            if self.strikes(Fault::Overlaps, fits && !flags.contains(AllocFlags::ZEROED)) {
                return Ok(last);
            }
        }
        let memory = self.rig.heap.allocate(layout, flags)?;
        self.last.set(Some(memory));
        let start = memory.cast::<u8>();
        if self.strikes(Fault::Short, true) {
            return Ok(NonNull::slice_from_raw_parts(start, layout.size() - 1));
        }
        if self.strikes(
            Fault::Misaligned,
            layout.align() > 1 && memory.len() > layout.size(),
        ) {
            // SAFETY: the object has at least one byte, and the model looks at the address alone.
            let odd = unsafe { start.add(1) };
            return Ok(NonNull::slice_from_raw_parts(odd, memory.len() - 1));
        }
        Ok(memory)
    }

    unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        self.last.set(None);
        if !self.strikes(Fault::Leaks, layout.size() < 1024) {
            // SAFETY: the caller keeps the callee's contract, which this method shares.
            unsafe { self.rig.heap.deallocate(pointer, layout) };
        }
    }

    unsafe fn reallocate(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        self.last.set(None);
        if self.strikes(Fault::Scribbles, true) {
            // SAFETY: the object is live. The model expects its contents to stay.
            unsafe { pointer.write_bytes(0x11, old.size()) };
            let layout = layout(usize::MAX / 4, 1);
            return self.rig.heap.allocate(layout, flags).map_err(|mut error| {
                error.layout = new;
                error
            });
        }
        if self.strikes(Fault::Forgets, true) {
            let memory = self.rig.heap.allocate(new, flags)?;
            // SAFETY: the caller keeps the callee's contract, which this method shares.
            unsafe { self.rig.heap.deallocate(pointer, old) };
            return Ok(memory);
        }
        let mut flags = flags;
        let zeroes = flags.contains(AllocFlags::ZEROED) && new.size() > old.size();
        if self.strikes(Fault::DirtyTail, zeroes) {
            flags.remove(AllocFlags::ZEROED);
        }
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { self.rig.heap.reallocate(pointer, old, new, flags) }
    }

    fn allocate_run(
        &self,
        count: usize,
        align: usize,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let mut flags = flags;
        if self.strikes(Fault::DirtyRun, flags.contains(AllocFlags::ZEROED)) {
            flags.remove(AllocFlags::ZEROED);
        }
        let mut count = count;
        if self.strikes(Fault::ShortRun, count > 1) {
            count -= 1;
        }
        if let Some(last) = self.last_run.get() {
            let bytes = count * Rig::<Plain32>::PAGE;
            let fits = last.len() >= bytes && last.addr().get() % align == 0;
            let fits = fits && !flags.contains(AllocFlags::ZEROED);
            if self.strikes(Fault::RunOverlaps, fits) {
                return Ok(NonNull::slice_from_raw_parts(last.cast(), bytes));
            }
        }
        let run = Subject::allocate_run(&*self.rig.heap, count, align, flags)?;
        self.last_run.set(Some(run));
        Ok(run)
    }

    unsafe fn extend_run(
        &self,
        run: NonNull<[u8]>,
        more: usize,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, AllocError> {
        self.last_run.set(None);
        let heap = &*self.rig.heap;
        let page = Rig::<Plain32>::PAGE;
        if self.fault == Fault::MovesRun && flags.is_empty() {
            return Subject::allocate_run(heap, run.len() / page + more, page, flags);
        }
        let mut flags = flags;
        // The fault shows only where the pages that follow are free and were used before.
        if self.fault == Fault::DirtyExtension {
            flags.remove(AllocFlags::ZEROED);
        }
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        let extended = unsafe { Subject::extend_run(heap, run, more, flags) };
        if self.fault == Fault::ScribblesOnRun && extended.is_err() {
            // SAFETY: the run is live. The model expects its contents to stay.
            unsafe { run.cast::<u8>().write_bytes(0x11, run.len()) };
        }
        extended
    }

    unsafe fn shrink_run(&self, run: NonNull<[u8]>, count: usize) -> NonNull<[u8]> {
        self.last_run.set(None);
        if self.strikes(Fault::LeaksTail, count * Rig::<Plain32>::PAGE < run.len()) {
            return run;
        }
        // SAFETY: the caller keeps the callee's contract, which this method shares.
        unsafe { Subject::shrink_run(&*self.rig.heap, run, count) }
    }

    unsafe fn free_run(&self, run: NonNull<[u8]>) {
        self.last_run.set(None);
        if !self.strikes(Fault::LeaksRun, true) {
            // SAFETY: the caller keeps the callee's contract, which this method shares.
            unsafe { Subject::free_run(&*self.rig.heap, run) };
        }
    }
}

/// Drives a heap with `fault` and returns the message of the check that failed.
fn drive(fault: Fault) -> Option<String> {
    let rig = Rig::<Plain32>::new();
    let faulty = Faulty {
        rig: &rig,
        fault,
        fuse: Cell::new(10),
        last: Cell::new(None),
        last_run: Cell::new(None),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut random = Rng::with_seed(7);
        let mut shadow = Shadow::new(&rig, &faulty);
        let scale = Scale {
            live_bytes: 1 << 18,
            largest: 1 << 15,
        };
        for _ in 0..8_000 {
            step(&mut shadow, &mut random, scale);
        }
        shadow.free_all();
    }));
    let panic = outcome.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_default())
}

#[test]
fn every_planted_fault_is_found() {
    for (fault, message) in FAULTS {
        let found = drive(fault);
        let found = found.unwrap_or_else(|| panic!("{fault:?} was not found"));
        assert!(found.contains(message), "{fault:?} was found as: {found}");
    }
}

#[test]
fn memory_outside_the_account_is_found() {
    let rig = Rig::<Plain32>::new();
    rig.check();
    let stray = VirtRange::new(VirtAddr::new(0x1000_0000), 0x1000).expect("a range");
    // SAFETY: no other call of the machine runs meanwhile.
    unsafe { rig.machine.reserve(stray, Patience::Wait) }.expect("nothing is there");
    // SAFETY: the simulated machine checks the state itself.
    unsafe { rig.machine.prepare(stray, Patience::Wait) }.expect("tables");
    let checked = catch_unwind(AssertUnwindSafe(|| rig.check()));
    let panic = checked.expect_err("a table that the heap did not ask for");
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("Prepared"), "{text}");
}
