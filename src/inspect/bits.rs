//! Reading the heap bitmap.

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;

use archipelago_api::{Geometry, Kernel, Machine, VirtAddr};

use super::views::for_each_object_of;
use super::walk::spans;
use crate::arena::{ArenaIndex, BitsReader};
use crate::base::PageRun;
use crate::bits::{HeapBits, PointerWords, Tables};
use crate::heap::Heap;
use crate::span::{Kind, SpanRef};

/// The bitmap of a heap, for a reader. As long as there is a reader, no memory of the bitmap is
/// given back, so that cursors can go anywhere.
///
/// ```
/// use archipelago::bits::Description;
/// use archipelago::{AllocFlags, Heap, Window};
/// use archipelago_sim::{Hosted, Plain32, Sim};
/// use core::alloc::Layout;
/// use core::ptr::NonNull;
///
/// type Pair = (usize, Option<NonNull<u8>>);
/// # let heap: Box<Heap<Sim<Plain32>, Hosted>> = Box::default();
/// # heap.init(&[Window::new(0x4000_0000, 64 << 20)], Sim::builder().build())?;
/// let layout = Layout::array::<Pair>(100)?;
/// let object = Description::slice_of::<Pair>(100);
/// let pairs = heap.allocate_scannable(layout, &object, AllocFlags::ZEROED)?;
///
/// let bits = heap.bits();
/// let object = heap.object_of(pairs.cast()).unwrap();
/// assert_eq!(bits.pointer_words(object).map(Iterator::count), Some(100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BitsView<'a, M: Machine, K: Kernel> {
    heap: &'a Heap<M, K>,
}

/// A live object, found by an address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectView {
    /// The first address.
    pub base: VirtAddr,
    /// Bytes of the slot, or of the pages.
    pub bytes: usize,
    /// The number of the slot in its span; 0 for a large object.
    pub slot: usize,
    /// The heap bitmap describes the object. If not, it holds no pointers.
    pub is_scannable: bool,
}

/// A part of the bitmap, the unit in which its memory is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BitsPartView {
    /// The first address of the heap that it covers.
    pub base: VirtAddr,
    /// The part has memory.
    pub is_ready: bool,
    /// The part covers scannable spans. A part that is Ready and not needed is given back by
    /// [`Heap::scavenge`].
    pub is_needed: bool,
}

impl<'a, M: Machine, K: Kernel> BitsView<'a, M, K> {
    /// The words of `object` that hold pointers, lowest first, as bytes from its start; `None` if
    /// the bitmap does not describe it. What is described while it is read may be seen in part.
    #[must_use]
    pub fn pointer_words(&self, object: ObjectView) -> Option<PointerWords<'_, Self>> {
        let scannable = object.is_scannable.then_some(object)?;
        PointerWords::of(self, scannable.base, scannable.bytes)
    }

    /// A cursor at the word that holds `addr`, or `None` for an address outside of the space.
    #[must_use]
    pub fn at(&self, addr: VirtAddr) -> Option<HeapBits<'_, Self>> {
        HeapBits::at(self, addr)
    }
}

impl<M: Machine, K: Kernel> Tables for BitsView<'_, M, K> {
    const GEOMETRY: Geometry = M::GEOMETRY;
    const WORD_BYTES: usize = M::WORD_BYTES;

    #[inline]
    fn units(&self, arena: usize, first: usize) -> &[AtomicUsize] {
        // SAFETY: this view is counted as a reader.
        let reader = unsafe { self.heap.pages.index().read_bits() };
        reader.units_from(arena, first)
    }
}

impl<M: Machine, K: Kernel> Drop for BitsView<'_, M, K> {
    fn drop(&mut self) {
        self.heap.pages.bitmap().leave();
    }
}

impl<M: Machine, K: Kernel> fmt::Debug for BitsView<'_, M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BitsView")
    }
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// The heap's bitmap, for reading.
    ///
    /// # Locks
    /// Takes the bitmap's lock, now and when the view is dropped.
    #[must_use]
    pub fn bits(&self) -> BitsView<'_, M, K> {
        self.pages.bitmap().enter();
        BitsView { heap: self }
    }

    /// The live object that `addr`, any number whatsoever, lies in: also in the bytes of its slot
    /// that were not asked for. `None` for what is foreign, free, or a span's tail.
    ///
    /// # Locks
    /// Takes central: a span that goes may take the memory of its record with it.
    /// # Cost
    /// The lock, four dependent loads, and a multiplication.
    #[must_use]
    pub fn object_at(&self, addr: VirtAddr) -> Option<ObjectView> {
        let online = self.pages.online()?;
        let _lists = self.central.lock();
        let handle = self.pages.index().span_of(addr)?;
        let span = online.records().get(handle);
        object_in::<M, K>(span, span.record.run::<M>(), addr)
    }

    /// The live object that `pointer` points into: [`object_at`](Self::object_at) its address.
    #[must_use]
    pub fn object_of(&self, pointer: NonNull<u8>) -> Option<ObjectView> {
        self.object_at(self.pages.online()?.machine.address(pointer)?)
    }

    /// Calls `visit` with the address of every word of the heap that holds a pointer, lowest offset
    /// first. Objects whose allocation is under way may be seen in part.
    ///
    /// # Locks
    /// Central and page, throughout: `visit` must not use the heap. It may use another heap, whose
    /// visitors then never use this one.
    /// # Cost
    /// Linear in the pages that the heap owns, and in the words up to the last pointer of each
    /// object.
    pub fn for_each_pointer_word(&self, mut visit: impl FnMut(VirtAddr)) {
        let Some(online) = self.pages.online() else {
            return;
        };
        let _lists = self.central.lock();
        let pool = self.pages.pool().hold();
        // SAFETY: only words of scannable spans are looked at, and the central lock is held.
        let reader = unsafe { self.pages.index().read_bits() };
        spans(self.pages.index(), online, pool.owned())
            .filter(|span| span.scan().is_yes())
            .for_each(|span| for_each_word_of::<M, K>(&reader, span, &mut visit));
    }

    /// Calls `visit` with every part of the bitmaps of the arenas that the heap owns pages of,
    /// lowest offset first.
    ///
    /// # Locks
    /// The bitmap's and page, throughout: `visit` must not use the heap. It may use another heap,
    /// whose visitors then never use this one.
    /// # Cost
    /// Linear in the arenas that the heap owns pages of.
    pub fn for_each_bits_part(&self, mut visit: impl FnMut(BitsPartView)) {
        let _bitmap = self.pages.bitmap().hold();
        let pool = self.pages.pool().hold();
        let mut next = 0;
        for range in pool.owned().iter() {
            let arenas = ArenaIndex::<M>::arenas_of(range);
            for arena in next.max(*arenas.start())..=*arenas.end() {
                for part in self.pages.index().parts_of(arena) {
                    visit(BitsPartView {
                        base: part.first.address::<M>(),
                        is_ready: part.is_ready,
                        is_needed: part.claimed != 0,
                    });
                }
            }
            next = arenas.end() + 1;
        }
    }
}

/// The live object of a span with this run that `addr` lies in.
fn object_in<M: Machine, K: Kernel>(
    span: SpanRef<'_>,
    run: PageRun,
    addr: VirtAddr,
) -> Option<ObjectView> {
    let first = run.first.address::<M>();
    let offset = addr.bytes_above(first)?;
    let (slot, bytes) = match span.kind() {
        Kind::Small(number) => {
            let class = Heap::<M, K>::TABLE.class(number)?;
            let bytes = Heap::<M, K>::TABLE.size(class);
            // Slots are found by a multiplication, which is good for the offsets of a span.
            if offset >= Heap::<M, K>::TABLE.slots(class) * bytes {
                return None;
            }
            let slot = Heap::<M, K>::TABLE.slot_at(class, offset);
            if !span.is_taken(slot) {
                return None;
            }
            (slot, bytes)
        }
        Kind::Large if offset < run.bytes::<M>() => (0, run.bytes::<M>()),
        Kind::Large | Kind::Unused => return None,
    };
    Some(ObjectView {
        base: first.checked_add(slot * bytes)?,
        bytes,
        slot,
        is_scannable: span.scan().is_yes(),
    })
}

/// Calls `visit` with the address of every pointer word of a span's objects. The bits of each
/// object are found from those of the one before.
fn for_each_word_of<M: Machine, K: Kernel>(
    reader: &BitsReader<'_, M>,
    span: SpanRef<'_>,
    mut visit: impl FnMut(VirtAddr),
) {
    let mut at = span.record.base::<M>();
    let Some(mut cursor) = HeapBits::at(reader, at) else {
        return;
    };
    for_each_object_of::<M, K>(span, |base, bytes| {
        let passed = base.value().wrapping_sub(at.value());
        cursor = cursor.forward(passed / M::WORD_BYTES);
        at = base;
        for word in PointerWords::from_cursor(cursor, bytes) {
            visit(VirtAddr::new(base.value().wrapping_add(word)));
        }
    });
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use core::alloc::Layout;

    use archipelago_api::AllocFlags;
    use archipelago_sim::{Hosted, Plain32, Sim};

    use super::*;
    use crate::pageheap::Window;

    type Subject = Heap<Sim<Plain32>, Hosted>;

    fn subject() -> (Box<Subject>, VirtAddr) {
        let heap: Box<Subject> = Box::default();
        heap.init(&[Window::new(0x4000_0000, 1 << 28)], Sim::default())
            .expect("a good window");
        let memory = heap
            .allocate(Layout::new::<[u64; 8]>(), AllocFlags::empty())
            .expect("memory");
        let online = heap.pages.online().expect("initialised");
        let address = online.machine.address(memory.cast());
        (heap, address.expect("the heap's"))
    }

    /// Slots are found by a multiplication that is wrong for offsets beyond the spans of a class. A
    /// record that has become that of a long run since it was looked up has such offsets.
    #[test]
    fn no_slot_is_found_beyond_the_slots_of_its_class() {
        let (heap, address) = subject();
        let online = heap.pages.online().expect("initialised");
        let handle = heap.pages.index().span_of(address).expect("a span");
        let span = online.records().get(handle);
        let run = PageRun::new(span.record.first::<Sim<Plain32>>(), 1 << 19);
        let live = object_in::<Sim<Plain32>, Hosted>(span, run, address);
        let live = live.expect("the first slot is live");
        assert_eq!((live.base, live.bytes, live.slot), (address, 64, 0));
        for offset in (64..1_usize << 31).step_by((1 << 16) - 32) {
            let beyond = address.checked_add(offset).expect("in the space");
            let found = object_in::<Sim<Plain32>, Hosted>(span, run, beyond);
            assert_eq!(found, None, "{offset:#x} bytes above");
        }
    }
}
