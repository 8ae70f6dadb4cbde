//! Objects that know their layout, and can be filled and checked.

use core::alloc::Layout;
use core::ptr::NonNull;

/// The layout of `size` bytes aligned to `align`.
#[must_use]
pub fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a valid layout")
}

/// An object, with the layout it was allocated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first byte of the object.
    pub pointer: NonNull<u8>,
    /// The layout of the object.
    pub layout: Layout,
    /// Bytes that may be used, which can be more than the layout asks for.
    pub bytes: usize,
}

impl Block {
    /// Fills the object by `id`, each byte by its place.
    pub fn fill(&self, id: u64) {
        let bytes = self.layout.size();
        let words = bytes / 8;
        for word in 0..words {
            // SAFETY: the word lies inside the object, which is the caller's.
            let place = unsafe { self.pointer.cast::<[u8; 8]>().add(word) };
            // SAFETY: as above; bytes have no alignment.
            unsafe { place.write(pattern(id, word)) };
        }
        let rest = pattern(id, words);
        for (at, value) in (words * 8..bytes).zip(rest) {
            // SAFETY: the byte lies inside the object, which is the caller's.
            let place = unsafe { self.pointer.add(at) };
            // SAFETY: as above.
            unsafe { place.write(value) };
        }
    }

    /// The first of the first `bytes` bytes that differs from the one that `fill(id)` wrote.
    #[must_use]
    pub fn find_damage(&self, id: u64, bytes: usize) -> Option<usize> {
        let contents = self.contents(bytes);
        let (words, rest) = contents.as_chunks_of_8();
        let damaged = words
            .enumerate()
            .find(|(word, bytes)| *bytes != pattern(id, *word));
        if let Some((word, _)) = damaged {
            return Some(word * 8);
        }
        let start = bytes - rest.len();
        let expected = pattern(id, start / 8);
        let differs = rest
            .iter()
            .zip(expected)
            .position(|(byte, value)| *byte != value);
        differs.map(|at| start + at)
    }

    /// The first byte from `from` on, up to the last that may be used, that is not zero.
    #[must_use]
    pub fn find_dirt(&self, from: usize) -> Option<usize> {
        let contents = self.contents(self.bytes);
        let tail = contents.get(from..)?;
        tail.iter().position(|byte| *byte != 0).map(|at| from + at)
    }

    /// The first `bytes` bytes, which the test has written or which are known to be zero.
    fn contents(&self, bytes: usize) -> &[u8] {
        let slice = NonNull::slice_from_raw_parts(self.pointer, bytes);
        // SAFETY: the bytes are Ready and initialised, and not written while the test reads them.
        unsafe { slice.as_ref() }
    }
}

/// Eight bytes at a time, since slices of the standard library do that only in later versions.
trait Chunks {
    fn as_chunks_of_8(&self) -> (impl Iterator<Item = [u8; 8]>, &[u8]);
}

impl Chunks for [u8] {
    fn as_chunks_of_8(&self) -> (impl Iterator<Item = [u8; 8]>, &[u8]) {
        let chunks = self.chunks_exact(8);
        let rest = chunks.remainder();
        let words = chunks.map(|chunk| {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            word
        });
        (words, rest)
    }
}

/// The bytes that `fill(id)` writes to word `word` of an object.
const fn pattern(id: u64, word: usize) -> [u8; 8] {
    let mixed = (id ^ (word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ mixed >> 32 | 1).to_le_bytes()
}
