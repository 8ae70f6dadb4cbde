//! What a kernel and its machine bring to two levels of tables.

use core::ptr::NonNull;

use archipelago_api::{Geometry, IndexRoot, PhysAddr};

use crate::Leaf;

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Nothing.
    Empty,
    /// A table that can hold pages of the heap.
    Table(PhysAddr),
    /// Something that the heap cannot use.
    Kernel,
}

/// The upper level of a kernel's tables: 4 MiB of address space a slot, with slot 0 from address 0
/// on.
///
/// # Safety
/// An implementor promises that:
/// - every CPU that uses the heap translates the addresses of a slot through the table that
///   [`link`](Self::link) answers, each by the entry of its page, as [`Format`](Self::Format) reads
///   it; an entry that it reads as anything but Ready or Kernel translates to nothing;
/// - [`memory`](Self::memory) answers the memory of a frame and nothing else, aligned to 8 bytes;
/// - while the directory is borrowed mutably, nobody else changes it or the tables that it links.
pub unsafe trait Directory: Send + 'static {
    /// The shape of the address space: at most 32 bits, pages of 4 KiB.
    const GEOMETRY: Geometry;

    /// Storage for the first level of the arena index.
    type IndexRoot: IndexRoot;

    /// How entries of tables are written.
    type Format: Format;

    /// What makes CPUs forget translations unless the kernel brings something else.
    type LocalTlb;

    /// The value of it.
    const LOCAL_TLB: Self::LocalTlb;

    /// What `slot` holds.
    fn link(&mut self, slot: usize) -> Link;

    /// Links `table` in `slot`, which held nothing. A CPU that finds the link finds the entries of
    /// the table that were written before.
    ///
    /// # Safety
    /// The frame holds a table whose entries are all Empty, and belongs to the directory until the
    /// link is cleared.
    unsafe fn set_link(&mut self, slot: usize, table: PhysAddr);

    /// Takes the table out of `slot`.
    ///
    /// # Safety
    /// [`set_link`](Self::set_link) put it there, and every entry of it is Empty.
    unsafe fn clear_link(&mut self, slot: usize);

    /// The memory of `frame`.
    ///
    /// # Safety
    /// The frame is one of the kernel's frame source, or a table that a slot links.
    unsafe fn memory(&self, frame: PhysAddr) -> NonNull<u8>;

    /// Entries of a table have been written: `count` of them, from `first` on. The provided method
    /// does nothing, which is right where walks of the tables see what is in the caches.
    fn written(&self, first: NonNull<u32>, count: usize) {
        let _ = (first, count);
    }
}

/// How entries of tables are written: two functions without state that undo each other.
///
/// An entry for [`Leaf::Empty`] must be the same as no other, and only those of [`Leaf::Ready`] may
/// be valid to the machine. The number of a frame, with zeroes below, must not be valid either:
/// frames in stock are linked through their first words.
pub trait Format: 'static {
    /// What an entry says.
    fn read(entry: u32) -> Leaf;

    /// The entry that says `leaf`, which is not [`Leaf::Kernel`].
    fn write(leaf: Leaf) -> u32;
}

/// Where the kernel's frames of 4 KiB come from.
///
/// # Safety
/// An implementor promises that each frame is aligned to its size, ends below 4 GiB, is memory that
/// nobody uses, and is handed out once, until it is given back.
pub unsafe trait FrameSource: Send + 'static {
    /// Takes a frame, or says that there is none.
    fn take(&mut self) -> Option<PhysAddr>;
}

/// A source that has frames back.
pub trait FrameReturn: FrameSource {
    /// Gives a frame back.
    ///
    /// # Safety
    /// The frame was taken from this source, and nobody uses it.
    unsafe fn give_back(&mut self, frame: PhysAddr);
}
