//! Physical memory made of ordinary memory.

use core::ptr::NonNull;

use archipelago_api::PhysAddr;
use archipelago_paging::PhysMap;

use crate::PAGE;

#[repr(C, align(4096))]
struct PageBytes([u8; PAGE]);

/// A word of a page table.
///
/// # Safety
/// An implementor promises that every bit pattern is a value.
pub unsafe trait TableWord: Copy {}

// SAFETY: an integer has no invalid bits.
unsafe impl TableWord for u32 {}
// SAFETY: an integer has no invalid bits.
unsafe impl TableWord for u64 {}

/// Frames of physical memory, one after the other. The memory lives until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct FrameMemory {
    base: *mut PageBytes,
    frames: usize,
    first: PhysAddr,
}

// SAFETY: only the owners of frames access them: the source hands each out once, and tests read
// tables while no machine works on them.
unsafe impl Send for FrameMemory {}
// SAFETY: accesses are the owners' alone, from whichever thread.
unsafe impl Sync for FrameMemory {}

impl FrameMemory {
    /// New memory of `frames` frames, the first of which is `first`, with `junk` in every byte.
    #[must_use]
    pub fn new(frames: usize, first: PhysAddr, junk: u8) -> Self {
        let memory: Vec<PageBytes> = (0..frames).map(|_| PageBytes([junk; PAGE])).collect();
        let base = Box::leak(memory.into_boxed_slice()).as_mut_ptr();
        // SAFETY:
        // - the memory was just leaked;
        // - a `PageBytes` is aligned to a page.
        unsafe { Self::at(base.cast(), frames, first) }
    }

    /// Frames over memory that exists already.
    ///
    /// # Safety
    /// - `frames` pages from `base` belong to the caller and are never freed.
    /// - `base` is aligned to a page.
    #[must_use]
    pub const unsafe fn at(base: *mut u8, frames: usize, first: PhysAddr) -> Self {
        Self {
            base: base.cast(),
            frames,
            first,
        }
    }

    /// The frame with a number, in the order of addresses.
    #[must_use]
    pub fn frame(&self, number: usize) -> PhysAddr {
        PhysAddr::new(self.first.value() + number as u64 * PAGE as u64)
    }

    /// All frames, in the order of addresses.
    #[must_use]
    pub fn all(self) -> impl DoubleEndedIterator<Item = PhysAddr> {
        (0..self.frames).map(move |number| self.frame(number))
    }

    /// The number of a frame, which exists.
    #[must_use]
    pub fn number(&self, frame: PhysAddr) -> usize {
        let above = frame.value().checked_sub(self.first.value());
        let above = usize::try_from(above.expect("memory begins there")).expect("small");
        let number = above / PAGE;
        assert!(number < self.frames, "no such frame: {frame:?}");
        number
    }

    /// The place of a frame.
    #[must_use]
    pub fn place(&self, frame: PhysAddr) -> NonNull<u8> {
        let place = self.base.wrapping_add(self.number(frame));
        NonNull::new(place.cast()).expect("ordinary memory")
    }

    /// Writes `byte` to every byte of a frame.
    pub fn fill(&self, frame: PhysAddr, byte: u8) {
        let place = self.place(frame);
        // SAFETY:
        // - `place` checked that the frame exists, and it is a page long;
        // - its owner calls.
        unsafe { place.write_bytes(byte, PAGE) };
    }

    /// Whether every byte of a frame is `byte`.
    #[must_use]
    pub fn holds(&self, frame: PhysAddr, byte: u8) -> bool {
        let word = u64::from_ne_bytes([byte; 8]);
        (0..PAGE / 8).all(|index| self.read::<u64>(frame, index) == word)
    }

    /// Reads word `index` of the table in `frame`. Indices wrap at the end of the frame.
    #[must_use]
    pub fn read<W: TableWord>(&self, frame: PhysAddr, index: usize) -> W {
        let word: *mut W = self.word(frame, index);
        // SAFETY:
        // - the word lies in a frame, at a multiple of its size;
        // - all bits of a frame have values, and any bits are a word;
        // - no machine works on the tables while a test reads.
        unsafe { word.read() }
    }

    /// Writes word `index` of the table in `frame`, as the kernel does.
    pub fn write<W: TableWord>(&self, frame: PhysAddr, index: usize, word: W) {
        let place: *mut W = self.word(frame, index);
        // SAFETY:
        // - the word lies in a frame, at a multiple of its size;
        // - no machine works on the tables meanwhile.
        unsafe { place.write(word) };
    }

    fn word<W: TableWord>(&self, frame: PhysAddr, index: usize) -> *mut W {
        let words: *mut W = self.place(frame).cast().as_ptr();
        words.wrapping_add(index % (PAGE / size_of::<W>()))
    }
}

// SAFETY: every frame lies in the memory, at its number.
unsafe impl PhysMap for FrameMemory {
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8> {
        self.place(frame)
    }
}
