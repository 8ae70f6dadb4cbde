//! A heap with live objects whose contents are known, and operations on it.

use core::alloc::Layout;
use core::ptr::NonNull;

#[cfg(feature = "heap-bits")]
use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocFlags, Cause, InitError, Window};
#[cfg(feature = "heap-bits")]
use archipelago_api::Machine;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout};

use crate::refusal::Refusal;

/// Bytes of a large object: more than the largest size class.
pub(crate) const LARGE: usize = 33 << 10;

/// A heap with live objects.
pub(crate) struct Case<G: SimGeometry> {
    pub(crate) rig: Rig<G>,
    /// Live objects, each filled by the number beside it.
    live: Vec<(u64, Block)>,
    /// Runs of pages that were leaked.
    runs: Vec<NonNull<[u8]>>,
    next_id: u64,
}

impl<G: SimGeometry> Case<G> {
    /// A case of `rig`, which has no objects.
    pub(crate) fn of(rig: Rig<G>) -> Self {
        Self {
            rig,
            live: Vec::new(),
            runs: Vec::new(),
            next_id: 1,
        }
    }

    /// A heap in `windows`, on a machine with more frames than any test asks for.
    pub(crate) fn on(windows: &[Window]) -> Self {
        Self::of(Rig::on(Sim::builder().build(), windows))
    }

    /// Allocates and fills an object that stays live.
    pub(crate) fn allocate(&mut self, layout: Layout, flags: AllocFlags) -> Result<(), Refusal> {
        let block = self.rig.allocate(layout, flags).map_err(Refusal::Request)?;
        if flags.contains(AllocFlags::ZEROED) {
            assert_eq!(block.find_dirt(0), None, "{layout:?} is not zero");
        }
        self.adopt(block);
        Ok(())
    }

    /// Allocates a run of `count` pages, which stays allocated.
    pub(crate) fn allocate_run(&mut self, count: usize) -> Result<(), Refusal> {
        let pages = self.rig.heap.pages();
        let run = pages.allocate(count, 1, AllocFlags::empty());
        self.runs.push(run.map_err(Refusal::Request)?.leak());
        Ok(())
    }

    /// Adds `more` pages to the first run.
    pub(crate) fn extend_first_run(&mut self, more: usize) -> Result<(), Refusal> {
        let pages = self.rig.heap.pages();
        // SAFETY: the run was leaked, and its memory is replaced below.
        let run = unsafe { pages.recover(self.runs[0]) };
        let mut run = run.expect("the run is this heap's");
        let extended = run.extend(more, AllocFlags::empty());
        self.runs[0] = run.leak();
        extended.map_err(Refusal::Request)
    }

    /// Allocates an object every word of which is a pointer, and which stays live.
    #[cfg(feature = "heap-bits")]
    pub(crate) fn allocate_scannable(
        &mut self,
        layout: Layout,
        flags: AllocFlags,
    ) -> Result<(), Refusal> {
        let object = pointers::<G>(layout.size());
        let memory = self.rig.heap.allocate_scannable(layout, &object, flags);
        let block = self.rig.vouch(memory.map_err(Refusal::Request)?, layout);
        self.adopt(block);
        Ok(())
    }

    /// Changes the size of the first object, which is a scannable one and goes on being full of
    /// pointers.
    #[cfg(feature = "heap-bits")]
    pub(crate) fn resize_first_scannable(
        &mut self,
        size: usize,
        flags: AllocFlags,
    ) -> Result<(), Refusal> {
        let (id, old) = self.live[0];
        let new = layout(size, old.layout.align());
        let object = pointers::<G>(size);
        // SAFETY: the object is live, and the new one is used from now on.
        let memory = unsafe {
            self.rig
                .heap
                .reallocate_scannable(old.pointer, old.layout, new, &object, flags)
        };
        let block = self.rig.vouch(memory.map_err(Refusal::Request)?, new);
        let kept = old.layout.size().min(size);
        assert_eq!(block.find_damage(id, kept), None, "contents move along");
        block.fill(id);
        self.live[0] = (id, block);
        Ok(())
    }

    /// Allocates an ordinary object, for which there has to be memory.
    pub(crate) fn get(&mut self, size: usize, align: usize) -> Block {
        let block = self.rig.get(size, align);
        self.adopt(block);
        block
    }

    /// Changes the size of the first object.
    pub(crate) fn resize_first(&mut self, size: usize, flags: AllocFlags) -> Result<(), Refusal> {
        let (id, old) = self.live[0];
        let new = self
            .rig
            .resize(old, size, flags)
            .map_err(Refusal::Request)?;
        let kept = old.layout.size().min(size);
        assert_eq!(new.find_damage(id, kept), None, "contents move along");
        if flags.contains(AllocFlags::ZEROED) {
            assert_eq!(new.find_dirt(kept), None, "the new part is zero");
        }
        new.fill(id);
        self.live[0] = (id, new);
        Ok(())
    }

    /// Frees the first object.
    pub(crate) fn free_first(&mut self) {
        self.free(0);
    }

    /// Frees an object, by its place among those that are live.
    pub(crate) fn free(&mut self, index: usize) {
        let (_, block) = self.live.remove(index);
        self.rig.free(block);
    }

    pub(crate) fn init(&mut self, windows: &[Window]) -> Result<(), Refusal> {
        self.rig
            .init(windows)
            .map_err(|failure| Refusal::Window(failure.error))
    }

    pub(crate) fn add_window(&mut self, window: Window) -> Result<(), Refusal> {
        let added: Result<(), InitError> = self.rig.heap.add_window(window);
        added.map_err(Refusal::Window)
    }

    pub(crate) fn set_reserve(&mut self, pages: usize) -> Result<(), Refusal> {
        let set: Result<(), Cause> = self.rig.heap.set_reserve(pages);
        set.map_err(Refusal::Reserve)
    }

    /// The object that was allocated last.
    pub(crate) fn last(&self) -> Block {
        self.live.last().expect("an object is live").1
    }

    /// Live objects.
    pub(crate) fn objects(&self) -> usize {
        self.live.len()
    }

    /// Fills an object and keeps it.
    pub(crate) fn adopt(&mut self, block: Block) {
        block.fill(self.next_id);
        self.live.push((self.next_id, block));
        self.next_id += 1;
    }

    /// Checks every invariant, the account, and the contents of every object.
    pub(crate) fn check(&self) {
        if let Err(violation) = self.rig.heap.verify() {
            panic!("{violation}\n{}", self.rig.heap.stats());
        }
        self.rig.check();
        for (id, block) in &self.live {
            let damage = block.find_damage(*id, block.layout.size());
            assert_eq!(damage, None, "{block:?} is damaged");
        }
    }

    /// Frees all objects, checking before and afterwards.
    pub(crate) fn finish(mut self) {
        self.check();
        while !self.live.is_empty() {
            self.free_first();
        }
        self.check();
        let used: usize = {
            let mut used = 0;
            // Empty spans that are kept for reuse are freed first.
            let scavenged = self.rig.heap.scavenge(0);
            assert_eq!(scavenged, Ok(0), "nothing was asked for");
            self.rig.heap.for_each_span(|_| used += 1);
            used
        };
        assert_eq!(used, 0, "no object is live, and spans are left");
    }
}

/// `size` bytes full of pointers.
#[cfg(feature = "heap-bits")]
fn pointers<G: SimGeometry>(size: usize) -> Description<'static> {
    const POINTER: &PointerMap<'_> = &PointerMap::from_mask(1, 1);
    Description::array(POINTER, size / Sim::<G>::WORD_BYTES)
}

/// The layout of a large object.
pub(crate) fn large() -> Layout {
    layout(LARGE, 8)
}

/// The layout of a small object.
pub(crate) fn small() -> Layout {
    layout(24, 8)
}

/// A window of `pages` pages that begins `pages_above` pages above an arena boundary in the first
/// half of the space.
pub(crate) fn window<G: SimGeometry>(pages_above: usize, pages: usize) -> Window {
    let page = G::GEOMETRY.page_bytes();
    Window::new(home::<G>() + pages_above * page, pages * page)
}

/// A window for metadata, far above [`window`]s.
pub(crate) fn metadata_window<G: SimGeometry>() -> Window {
    let base = home::<G>() + 16 * G::GEOMETRY.arena_bytes();
    Window::for_metadata(base, 256 * G::GEOMETRY.page_bytes())
}

/// An arena boundary in the first half of the space.
pub(crate) fn home<G: SimGeometry>() -> usize {
    let geometry = G::GEOMETRY;
    let quarter = geometry.last_offset().value() / 4 + 1;
    geometry
        .base
        .wrapping_add(quarter / geometry.arena_bytes() * geometry.arena_bytes())
}
