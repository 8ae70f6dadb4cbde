//! Scannable objects, with a record of each that does not depend on the bitmap. The tests compare
//! the records with the heap's bitmap.

mod live;
mod shape;
mod types;
mod walk;

use alloc::vec::Vec;
use core::ptr::NonNull;

use archipelago::{AllocError, AllocFlags};

pub use live::Live;
pub use shape::{Shape, Typed, WORD, in_field};
pub use types::{LINKS, NUMBERS, SHAPES, SPARSE};
pub use walk::{WAYS, Way};

use crate::heap::KernelHeap;

/// Live objects of a heap. Each is a value of its type, all of whose pointers lead to the object
/// that was allocated before it.
#[derive(Debug)]
pub struct Objects {
    heap: &'static KernelHeap,
    flags: AllocFlags,
    live: Vec<Live>,
    /// Where the pointers of the next object lead.
    last: NonNull<u8>,
    /// How far up the line of the space there ever was an object.
    highest: usize,
}

// SAFETY: the objects are these alone, wherever they are, and the heap can be shared.
unsafe impl Send for Objects {}

impl Objects {
    /// No objects yet, and never more than `most`, allocated as `flags` say.
    #[must_use]
    pub fn new(heap: &'static KernelHeap, most: usize, flags: AllocFlags) -> Self {
        Self {
            heap,
            flags,
            live: Vec::with_capacity(most),
            last: NonNull::dangling(),
            highest: 0,
        }
    }

    /// The live ones.
    #[must_use]
    pub fn live(&self) -> &[Live] {
        &self.live
    }

    /// Allocates an object of `count` elements, and writes it.
    ///
    /// # Errors
    /// The heap's.
    ///
    /// # Panics
    /// If there are as many objects as there can be.
    pub fn allocate(&mut self, shape: &'static Shape, count: usize) -> Result<Live, AllocError> {
        let (layout, object) = (shape.layout(count), shape.description(count));
        let memory = self.heap.allocate_scannable(layout, &object, self.flags)?;
        // SAFETY: the memory is new, and was allocated for that object.
        let live = unsafe { Live::write(shape, count, memory, self.last) };
        assert!(self.live.len() < self.live.capacity(), "no room for it");
        self.add(live);
        self.last = live.memory;
        Ok(live)
    }

    /// Makes object `index` one of `count` elements of another shape, and the last of all.
    ///
    /// # Panics
    /// If the heap refuses.
    pub fn reallocate(&mut self, index: usize, shape: &'static Shape, count: usize) {
        let old = self.live[index];
        let (layout, object) = (shape.layout(count), shape.description(count));
        // SAFETY: the object is live, and the new one takes its place in the record.
        let memory = unsafe {
            self.heap.reallocate_scannable(
                old.memory,
                old.shape.layout(old.count),
                layout,
                &object,
                self.flags,
            )
        };
        let memory = memory.unwrap_or_else(|error| panic!("{error}"));
        // SAFETY: the memory is this object's, and was allocated for it.
        let live = unsafe { Live::write(shape, count, memory, old.target) };
        self.live.swap_remove(index);
        self.add(live);
    }

    fn add(&mut self, live: Live) {
        self.highest = self.highest.max(live.place() + live.bytes);
        self.live.push(live);
    }

    /// Frees object `index`; the last one takes its place.
    pub fn free(&mut self, index: usize) {
        let live = self.live.swap_remove(index);
        // SAFETY: the object was allocated with this layout, and nothing uses it any more.
        unsafe {
            self.heap
                .deallocate(live.memory, live.shape.layout(live.count));
        }
    }

    /// Frees all of them.
    pub fn free_all(&mut self) {
        while !self.live.is_empty() {
            self.free(self.live.len() - 1);
        }
        self.last = NonNull::dangling();
    }

    /// Takes over another's objects, which are of the same heap.
    ///
    /// # Panics
    /// If there are more objects then than there can be.
    pub fn take(&mut self, other: &mut Self) {
        let room = self.live.capacity() - self.live.len();
        assert!(other.live.len() <= room, "no room for them");
        self.live.append(&mut other.live);
        self.highest = self.highest.max(other.highest);
    }
}
