//! The shadow map: which objects and runs of pages are live, their places and their contents.

mod runs;

use alloc::collections::BTreeMap;
use core::alloc::Layout;

use archipelago::{AllocError, AllocFlags, Cause, Purpose};
use archipelago_sim::SimGeometry;
use archipelago_testing::{Block, Rig, layout};

use crate::subject::Subject;

/// A live object or run of pages.
#[derive(Clone, Copy, Debug)]
struct Live {
    block: Block,
    id: u64,
}

/// A subject, and the state that it must be in.
pub(crate) struct Shadow<'a, G: SimGeometry, S> {
    rig: &'a Rig<G>,
    subject: &'a S,
    live: Vec<Live>,
    /// The runs of pages that the kernel holds.
    runs: Vec<Live>,
    /// First address → last address of each live object, with all the bytes that may be used, and
    /// of each run.
    taken: BTreeMap<usize, usize>,
    next_id: u64,
    live_bytes: usize,
    /// Requests that the heap had refused before, and those that it has refused since.
    refusals: usize,
}

impl<'a, G: SimGeometry, S: Subject> Shadow<'a, G, S> {
    /// A map without live objects; `subject` hands out memory of `rig`.
    pub(crate) fn new(rig: &'a Rig<G>, subject: &'a S) -> Self {
        Self {
            rig,
            subject,
            live: Vec::new(),
            runs: Vec::new(),
            taken: BTreeMap::new(),
            next_id: 1,
            live_bytes: 0,
            refusals: rig.heap.stats().refusals,
        }
    }

    /// Live objects.
    pub(crate) fn count(&self) -> usize {
        self.live.len()
    }

    /// Bytes that live objects and runs were allocated with.
    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// The layout of the object with this number.
    pub(crate) fn layout(&self, number: usize) -> Layout {
        self.live[number].block.layout
    }

    /// Allocates an object and fills it.
    pub(crate) fn allocate(&mut self, layout: Layout, flags: AllocFlags) -> Result<(), Cause> {
        let calls = self.rig.machine.calls();
        let result = self.subject.allocate(layout, flags);
        self.check_calls(calls, flags);
        let memory = result.map_err(|error| self.check_refusal(error, layout, flags))?;
        let block = self.rig.vouch(memory, layout);
        if flags.contains(AllocFlags::ZEROED) {
            assert_eq!(
                block.find_dirt(0),
                None,
                "zeroed memory of {layout:?} is dirty"
            );
        }
        self.enter(block);
        Ok(())
    }

    /// Frees the object with this number, after a check of its contents.
    pub(crate) fn free(&mut self, number: usize) {
        let live = self.leave(number);
        let size = live.block.layout.size();
        assert_eq!(
            live.block.find_damage(live.id, size),
            None,
            "{live:?} was damaged"
        );
        // SAFETY: the object is live, and has just been taken off the map.
        unsafe {
            self.subject
                .deallocate(live.block.pointer, live.block.layout)
        };
    }

    /// Frees every object and every run, and checks that none is left.
    pub(crate) fn free_all(&mut self) {
        while self.count_runs() > 0 {
            self.free_run(self.count_runs() - 1);
        }
        while self.count() > 0 {
            self.free(self.count() - 1);
        }
        assert_eq!(
            self.rig.heap.stats().small_objects,
            0,
            "objects are left after the last free"
        );
        self.check_counts();
    }

    /// Reallocates the object with this number.
    pub(crate) fn resize(
        &mut self,
        number: usize,
        size: usize,
        flags: AllocFlags,
    ) -> Result<(), Cause> {
        let old = self.leave(number);
        let before = old.block.layout;
        let after = layout(size, before.align());
        let calls = self.rig.machine.calls();
        // SAFETY: the object is live; on success the new one takes its place.
        let result = unsafe {
            self.subject
                .reallocate(old.block.pointer, before, after, flags)
        };
        self.check_calls(calls, flags);
        let memory = match result {
            Ok(memory) => memory,
            Err(error) => {
                let cause = self.check_refusal(error, after, flags);
                assert_eq!(
                    old.block.find_damage(old.id, before.size()),
                    None,
                    "{old:?} was damaged"
                );
                self.put_back(old);
                return Err(cause);
            }
        };
        let block = self.rig.vouch(memory, after);
        let kept = before.size().min(size);
        assert_eq!(
            block.find_damage(old.id, kept),
            None,
            "realloc of {old:?} to {size} lost contents"
        );
        if flags.contains(AllocFlags::ZEROED) {
            assert_eq!(
                block.find_dirt(before.size()),
                None,
                "the tail of {block:?} is dirty"
            );
        }
        self.enter(block);
        Ok(())
    }

    /// The statistics know what is live, byte by byte, and what was refused.
    fn check_counts(&self) {
        let stats = self.rig.heap.stats();
        let bytes: usize = self.live.iter().map(|live| live.block.bytes).sum();
        assert_eq!(stats.live_bytes, bytes, "{stats:?}");
        let objects = stats.small_objects + stats.large_objects;
        assert_eq!(objects, self.live.len(), "{stats:?}");
        assert_eq!(stats.refusals, self.refusals, "{stats:?}");
        assert!(stats.peak_ready >= stats.mapped_ready, "{stats:?}");
        assert!(
            stats.live_bytes <= stats.of(Purpose::Objects),
            "objects lie in spans: {stats:?}"
        );
    }

    /// Checks the contents of every object and of every run.
    pub(crate) fn check_contents(&self) {
        self.check_counts();
        for live in self.live.iter().chain(&self.runs) {
            let size = live.block.layout.size();
            assert_eq!(
                live.block.find_damage(live.id, size),
                None,
                "{live:?} was damaged"
            );
        }
    }

    fn enter(&mut self, block: Block) {
        let id = self.take_id();
        self.put_back(Live { block, id });
        block.fill(id);
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn put_back(&mut self, live: Live) {
        self.claim(live);
        self.live.push(live);
    }

    /// Enters the addresses of an object or a run, which nothing live may have.
    fn claim(&mut self, live: Live) {
        let first = self.rig.address(live.block).value();
        let last = first + (live.block.bytes - 1);
        let below = self.taken.range(..=last).next_back();
        if let Some((&other, &other_last)) = below {
            assert!(
                other_last < first,
                "{live:?} overlaps the object at {other:#x}..={other_last:#x}"
            );
        }
        self.taken.insert(first, last);
        self.live_bytes += live.block.layout.size();
    }

    fn leave(&mut self, number: usize) -> Live {
        let live = self.live.swap_remove(number);
        self.unclaim(live);
        live
    }

    fn unclaim(&mut self, live: Live) {
        self.taken.remove(&self.rig.address(live.block).value());
        self.live_bytes -= live.block.layout.size();
    }

    /// Requests that must not grow leave the machine alone.
    fn check_calls(&self, before: archipelago_sim::Calls, flags: AllocFlags) {
        if flags.contains(AllocFlags::NO_GROW) {
            assert_eq!(
                self.rig.machine.calls(),
                before,
                "{flags:?} called the machine"
            );
        }
    }

    /// A refusal states the request, and its cause is one that the flags allow.
    fn check_refusal(&mut self, error: AllocError, layout: Layout, flags: AllocFlags) -> Cause {
        self.refusals += 1;
        assert_eq!(error.layout, layout);
        let not_ready = matches!(error.cause, Cause::NotReady { .. });
        let too_large = matches!(error.cause, Cause::TooLarge { .. });
        let must_not_grow = flags.contains(AllocFlags::NO_GROW);
        assert!(
            too_large || not_ready == must_not_grow,
            "{flags:?}: {error}"
        );
        error.cause
    }
}
