//! The shadow of the runs of pages that the kernel holds.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocFlags, Cause, Purpose};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Block, Rig, layout};

use super::{Live, Shadow};
use crate::subject::Subject;

impl<G: SimGeometry, S: Subject> Shadow<'_, G, S> {
    /// Live runs.
    pub(crate) fn count_runs(&self) -> usize {
        self.runs.len()
    }

    /// Pages of the run with this number.
    pub(crate) fn pages_of(&self, number: usize) -> usize {
        self.runs[number].block.bytes / Rig::<G>::PAGE
    }

    /// Allocates a run of `count` pages, aligned to `align` bytes, and fills it.
    pub(crate) fn allocate_run(
        &mut self,
        count: usize,
        align: usize,
        flags: AllocFlags,
    ) -> Result<(), Cause> {
        let wanted = Self::run_layout(count, align);
        let calls = self.rig.machine.calls();
        let result = self.subject.allocate_run(count, align, flags);
        self.check_calls(calls, flags);
        let memory = result.map_err(|error| self.check_refusal(error, wanted, flags))?;
        let block = self.check_run(memory, wanted);
        if flags.contains(AllocFlags::ZEROED) {
            assert_eq!(
                block.find_dirt(0),
                None,
                "the zeroed run of {wanted:?} is dirty"
            );
        }
        self.enter_run(block);
        self.check_pages_of_runs();
        Ok(())
    }

    /// Extends the run with this number by `more` pages, and fills it again.
    pub(crate) fn extend_run(
        &mut self,
        number: usize,
        more: usize,
        flags: AllocFlags,
    ) -> Result<(), Cause> {
        let old = self.leave_run(number);
        let before = old.block.layout;
        let after = layout(before.size() + more * Rig::<G>::PAGE, before.align());
        let calls = self.rig.machine.calls();
        // SAFETY: the run is live; the returned one takes its place.
        let result = unsafe { self.subject.extend_run(memory_of(old.block), more, flags) };
        self.check_calls(calls, flags);
        let memory = match result {
            Ok(memory) => memory,
            Err(error) => {
                // The pages that follow may be taken, whatever the flags are.
                let wanted = Self::run_layout(more, 1);
                let cause = match error.cause {
                    Cause::NotFree { bytes } => {
                        self.refusals += 1;
                        assert_eq!((error.layout, bytes), (wanted, wanted.size()));
                        error.cause
                    }
                    _ => self.check_refusal(error, wanted, flags),
                };
                check_contents(old);
                self.put_run_back(old);
                self.check_pages_of_runs();
                return Err(cause);
            }
        };
        let block = self.check_run(memory, after);
        assert_eq!(
            block.pointer, old.block.pointer,
            "{old:?} was not extended in place"
        );
        assert_eq!(
            block.find_damage(old.id, before.size()),
            None,
            "the run {old:?} lost contents"
        );
        if flags.contains(AllocFlags::ZEROED) {
            assert_eq!(
                block.find_dirt(before.size()),
                None,
                "the tail of the run {block:?} is dirty"
            );
        }
        self.enter_run(block);
        self.check_pages_of_runs();
        Ok(())
    }

    /// Frees the pages after the first `count`, at least one, of the run with this number.
    pub(crate) fn shrink_run(&mut self, number: usize, count: usize) {
        let old = self.leave_run(number);
        let after = layout(count * Rig::<G>::PAGE, old.block.layout.align());
        // SAFETY: the run is live; the returned one takes its place.
        let memory = unsafe { self.subject.shrink_run(memory_of(old.block), count) };
        let block = self.check_run(memory, after);
        assert_eq!(
            block.pointer, old.block.pointer,
            "{old:?} did not shrink in place"
        );
        let live = Live { block, ..old };
        check_contents(live);
        self.put_run_back(live);
        self.check_pages_of_runs();
    }

    /// Frees the run with this number, after a check of its contents.
    pub(crate) fn free_run(&mut self, number: usize) {
        let live = self.leave_run(number);
        check_contents(live);
        // SAFETY: the run is live, and has just been taken off the map.
        unsafe { self.subject.free_run(memory_of(live.block)) };
        self.check_pages_of_runs();
    }

    /// Checks that the account has as many pages in runs as the shadow.
    fn check_pages_of_runs(&self) {
        let pages: usize = (0..self.runs.len())
            .map(|number| self.pages_of(number))
            .sum();
        let stats = self.rig.heap.stats();
        assert_eq!(
            stats.of(Purpose::Runs),
            pages * Rig::<G>::PAGE,
            "pages in runs\n{stats}"
        );
    }

    /// Checks the promises of a run: as long as asked for, aligned, no object, and Ready from end
    /// to end.
    fn check_run(&self, memory: NonNull<[u8]>, wanted: Layout) -> Block {
        let block = Block {
            pointer: memory.cast(),
            layout: wanted,
            bytes: memory.len(),
        };
        assert_eq!(block.bytes, wanted.size(), "the run of {wanted:?}");
        let address = self.rig.address(block);
        assert!(
            address.is_aligned(wanted.align()),
            "the run of {wanted:?} got {address}"
        );
        assert!(
            !self.rig.heap.owns(address),
            "the run at {address} is an object"
        );
        self.rig.machine.check_access(address, block.bytes);
        block
    }

    /// The layout of `count` pages, aligned to `align` bytes and at least to a page.
    fn run_layout(count: usize, align: usize) -> Layout {
        let page = Rig::<G>::PAGE;
        layout(count * page, align.max(page))
    }

    fn enter_run(&mut self, block: Block) {
        let id = self.take_id();
        self.put_run_back(Live { block, id });
        block.fill(id);
    }

    fn put_run_back(&mut self, live: Live) {
        self.claim(live);
        self.runs.push(live);
    }

    fn leave_run(&mut self, number: usize) -> Live {
        let live = self.runs.swap_remove(number);
        self.unclaim(live);
        live
    }
}

fn memory_of(block: Block) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block.pointer, block.bytes)
}

fn check_contents(live: Live) {
    assert_eq!(
        live.block.find_damage(live.id, live.block.bytes),
        None,
        "the run {live:?} was damaged"
    );
}
