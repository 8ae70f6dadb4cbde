//! A heap with objects whose pointer words are known.

use core::alloc::Layout;

use archipelago::bits::{Description, PointerMap};
use archipelago::{AllocError, AllocFlags, Purpose, VirtAddr, Window};
use archipelago_api::Machine;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout};

/// Every word a pointer.
pub(crate) const POINTER: PointerMap<'_> = PointerMap::from_mask(1, 1);
/// A number and two pointers, then three numbers.
pub(crate) const SIX: PointerMap<'_> = PointerMap::from_mask(6, 0b110);

/// A live object and the offsets of its pointer words, counted in words.
pub(crate) struct Live {
    pub(crate) block: Block,
    pub(crate) words: Vec<usize>,
}

/// A heap with objects.
pub(crate) struct Subject<G: SimGeometry> {
    pub(crate) rig: Rig<G>,
    pub(crate) live: Vec<Live>,
}

impl<G: SimGeometry> Subject<G> {
    /// Bytes of a word.
    pub(crate) const WORD: usize = Sim::<G>::WORD_BYTES;

    pub(crate) fn new() -> Self {
        Self::of(Rig::new())
    }

    pub(crate) fn on(windows: &[Window]) -> Self {
        Self::of(Rig::on(Sim::builder().build(), windows))
    }

    fn of(rig: Rig<G>) -> Self {
        let live = Vec::new();
        Self { rig, live }
    }

    /// The layout of `count` elements of `map`. A description has no layout: one without pointers
    /// has no words.
    fn layout_of(map: &PointerMap<'_>, count: usize) -> Layout {
        layout(map.words() * count * Self::WORD, 8)
    }

    /// Allocates `count` elements of `map`, which have to be there.
    pub(crate) fn array(&mut self, map: &PointerMap<'_>, count: usize) -> &Live {
        self.try_array(map, count).expect("memory");
        self.live.last().expect("it was added")
    }

    pub(crate) fn try_array(
        &mut self,
        map: &PointerMap<'_>,
        count: usize,
    ) -> Result<(), AllocError> {
        self.try_array_with(map, count, AllocFlags::empty())
    }

    pub(crate) fn try_array_with(
        &mut self,
        map: &PointerMap<'_>,
        count: usize,
        flags: AllocFlags,
    ) -> Result<(), AllocError> {
        let object = Description::array(map, count);
        let layout = Self::layout_of(map, count);
        let memory = self.rig.heap.allocate_scannable(layout, &object, flags)?;
        let block = self.rig.vouch(memory, layout);
        let words = words_of(map, count);
        self.live.push(Live { block, words });
        Ok(())
    }

    /// Allocates an object without pointers.
    pub(crate) fn plain(&mut self, bytes: usize) {
        let block = self.rig.get(bytes, 8);
        let words = Vec::new();
        self.live.push(Live { block, words });
    }

    /// Changes object `index` to `count` elements of `map`, for which there has to be memory.
    pub(crate) fn resize(&mut self, index: usize, map: &PointerMap<'_>, count: usize) {
        self.try_resize(index, map, count, AllocFlags::empty())
            .expect("memory");
    }

    pub(crate) fn try_resize(
        &mut self,
        index: usize,
        map: &PointerMap<'_>,
        count: usize,
        flags: AllocFlags,
    ) -> Result<(), AllocError> {
        let object = Description::array(map, count);
        let new = Self::layout_of(map, count);
        let old = self.live[index].block;
        let heap = &self.rig.heap;
        // SAFETY: the object is live, and the new one is used from now on.
        let memory =
            unsafe { heap.reallocate_scannable(old.pointer, old.layout, new, &object, flags) }?;
        let block = self.rig.vouch(memory, new);
        let words = words_of(map, count);
        self.live[index] = Live { block, words };
        Ok(())
    }

    pub(crate) fn free(&mut self, index: usize) {
        let live = self.live.swap_remove(index);
        self.rig.free(live.block);
    }

    /// Bytes of the bitmap in use.
    pub(crate) fn bits(&self) -> usize {
        self.rig.heap.stats().of(Purpose::HeapBits)
    }

    /// The account, the heap's own rules, and every pointer word.
    pub(crate) fn check(&self) {
        self.rig.check();
        self.rig.verify();
        let mut found = Vec::new();
        self.rig
            .heap
            .for_each_pointer_word(|address| found.push(address));
        let mut expected: Vec<VirtAddr> = self
            .live
            .iter()
            .flat_map(|live| {
                let base = self.rig.address(live.block).value();
                let address = move |word: &usize| VirtAddr::new(base + word * Self::WORD);
                live.words.iter().map(address)
            })
            .collect();
        expected.sort_by_key(|address| G::GEOMETRY.offset(*address));
        assert!(
            found == expected,
            "{} and {} words",
            found.len(),
            expected.len()
        );
    }
}

fn words_of(map: &PointerMap<'_>, count: usize) -> Vec<usize> {
    let of_one = (0..map.words()).filter(|word| map.is_pointer(*word));
    let of_one: Vec<usize> = of_one.collect();
    let element = |index: usize| of_one.iter().map(move |word| index * map.words() + word);
    (0..count).flat_map(element).collect()
}
