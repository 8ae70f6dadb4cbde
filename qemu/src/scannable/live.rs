//! The record of one object: its type, and its place in memory.

use core::fmt;
use core::ptr::NonNull;

use archipelago::VirtAddr;
use archipelago::bits::WordBits;
use archipelago_api::Machine;

use super::shape::{Shape, WORD};
use crate::machine::HeapMachine;

/// A live object, as its type has it.
#[derive(Clone, Copy)]
pub struct Live {
    /// The object's shape.
    pub shape: &'static Shape,
    /// The number of elements.
    pub count: usize,
    /// The object's memory.
    pub memory: NonNull<u8>,
    /// Bytes of its slot, or of its pages.
    pub bytes: usize,
    /// Words up to the last one that holds a pointer.
    described: usize,
    /// Where its pointers lead.
    pub target: NonNull<u8>,
}

impl Live {
    /// Writes an object whose pointers lead to `target`.
    ///
    /// # Safety
    /// The memory was allocated for an object of that shape, and nothing else uses it.
    pub(super) unsafe fn write(
        shape: &'static Shape,
        count: usize,
        memory: NonNull<[u8]>,
        target: NonNull<u8>,
    ) -> Self {
        let place = memory.cast::<u8>();
        // SAFETY: the caller promises it.
        unsafe { shape.write(count, place.as_ptr(), target.as_ptr()) };
        let words = 0..memory.len() / WORD;
        let last = words
            .rev()
            .find(|word| shape.holds_pointer(count, word * WORD));
        Self {
            shape,
            count,
            memory: place,
            bytes: memory.len(),
            described: last.map_or(0, |word| word + 1),
            target,
        }
    }

    /// The object's first address.
    #[must_use]
    pub fn base(&self) -> usize {
        self.memory.addr().get()
    }

    /// The address of the object that a pointer leads to.
    #[must_use]
    pub fn address_of(pointer: NonNull<u8>) -> VirtAddr {
        VirtAddr::new(pointer.addr().get())
    }

    /// The address that is `offset` bytes from its first.
    #[must_use]
    pub fn address(&self, offset: usize) -> VirtAddr {
        VirtAddr::new(self.base().wrapping_add(offset))
    }

    /// The offset of the first byte on the line of the address space.
    #[must_use]
    pub fn place(&self) -> usize {
        let offset = HeapMachine::GEOMETRY.offset(self.address(0));
        offset.expect("objects lie in the space").value()
    }

    /// How many boundaries of arenas it lies across.
    #[must_use]
    pub fn boundaries(&self) -> usize {
        let arena = HeapMachine::GEOMETRY.arena_bytes();
        (self.place() + self.bytes - 1) / arena - self.place() / arena
    }

    /// Whether the bitmap has to describe it.
    #[must_use]
    pub fn has_pointers(&self) -> bool {
        self.described > 0
    }

    /// The bits that the bitmap must have for a word of the object's slot.
    pub(super) fn entry(&self, word: usize) -> WordBits {
        if word >= self.described {
            return WordBits::DEAD;
        }
        WordBits {
            pointer: self.shape.holds_pointer(self.count, word * WORD),
            // The second word's bit is the special bit, which is never set.
            scan: word != 1,
        }
    }

    /// The words that hold pointers, in bytes from its first.
    pub(super) fn pointer_words(&self) -> impl Iterator<Item = usize> + use<> {
        let live = *self;
        let words = (0..self.described).map(|word| word * WORD);
        words.filter(move |offset| live.shape.holds_pointer(live.count, *offset))
    }

    /// The value of a pointer word of the object.
    pub(super) fn pointer(&self, offset: usize) -> *mut u8 {
        // SAFETY: the word lies in the object.
        let word = unsafe { self.memory.byte_add(offset) };
        // SAFETY: it was written as a pointer, and the object is live.
        unsafe { word.cast::<*mut u8>().read() }
    }
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, name) = (self.count, self.shape.name);
        write!(f, "{count} {name} at {:#x}", self.base())
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
