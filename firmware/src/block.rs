//! The block of RAM: its pages, and the metadata at its low end.
//!
//! ```text
//!  page map: a byte a page │ bitmaps: a bit for every 8 bytes of a page │ pages of objects …
//! ```
//!
//! All functions accept any page number. A number past the last page reads as [`Page::Metadata`],
//! in which no object lies, and at which every search ends.

use core::ops::Range;
use core::ptr::{self, NonNull};

/// Bytes of the unit in which sizes of objects are counted, and the least alignment of an object.
pub(crate) const UNIT: usize = 8;

/// Pages whose bytes in the page map are compared in one step.
const MAP_WORD: usize = size_of::<u32>();

/// Bits of a word of a bitmap.
const WORD: usize = u32::BITS as usize;

/// The use of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The page is free.
    Free,
    /// The page is a span: slots of so many units each.
    Slots(u8),
    /// The first page of a run that is one object.
    Head,
    /// A later page of a run.
    Tail,
    /// The page holds the page map or bitmaps, or is no page of the block.
    Metadata,
}

const FREE: u8 = 0;
const HEAD: u8 = 0x7d;
const TAIL: u8 = 0x7e;
const METADATA: u8 = 0x7f;

/// The bit of a page's byte that says that an object of it kept its place when it shrank. The use
/// of the page is in the others.
const LOOSE: u8 = 0x80;

impl Page {
    const fn from_byte(byte: u8) -> Self {
        match byte & !LOOSE {
            FREE => Self::Free,
            HEAD => Self::Head,
            TAIL => Self::Tail,
            METADATA => Self::Metadata,
            units => Self::Slots(units),
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Free => FREE,
            Self::Slots(units) => units,
            Self::Head => HEAD,
            Self::Tail => TAIL,
            Self::Metadata => METADATA,
        }
    }
}

/// The division of a block of RAM into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// Bytes before the first page.
    skipped: usize,
    pages: usize,
    /// Pages that hold metadata: the first ones.
    metadata: usize,
}

impl Plan {
    /// Divides `bytes` bytes at `start`, which is not 0, into pages of `PAGE` bytes; `None` if
    /// there is no page for objects.
    fn new<const PAGE: usize>(start: usize, bytes: usize) -> Option<Self> {
        let above = start.wrapping_neg();
        let skipped = above % PAGE;
        // The block must not pass the top of the address space, and no pointer range ends there.
        let bytes = bytes.min(above - 1);
        let pages = bytes.checked_sub(skipped)? / PAGE;
        let map = pages.next_multiple_of(MAP_WORD);
        let bitmaps = pages * Block::<PAGE>::WORDS * size_of::<u32>();
        let metadata = (map + bitmaps).div_ceil(PAGE);
        (pages > metadata).then_some(Self {
            skipped,
            pages,
            metadata,
        })
    }
}

/// A block of pages of `PAGE` bytes each, the first at a multiple of that.
#[derive(Debug)]
pub(crate) struct Block<const PAGE: usize> {
    /// The first byte; null, so that a heap without memory is zero, if there are no pages.
    start: *mut u8,
    pages: usize,
}

impl<const PAGE: usize> Block<PAGE> {
    /// Words of the bitmap of one page.
    pub(crate) const WORDS: usize = PAGE / UNIT / WORD;
    /// A block without pages.
    pub(crate) const EMPTY: Self = Self {
        start: ptr::null_mut(),
        pages: 0,
    };

    /// The whole pages in the `bytes` bytes from `start`, with metadata in the first of them;
    /// `None` if there is no page for objects.
    ///
    /// The last page of the address space is left out: no pointer range can describe its end.
    ///
    /// # Safety
    /// For as long as the block is in use,
    /// - the bytes can be read and written through `start`;
    /// - nothing else reads or writes them.
    pub(crate) unsafe fn new(start: NonNull<u8>, bytes: usize) -> Option<Self> {
        let plan = Plan::new::<PAGE>(start.addr().get(), bytes)?;
        // SAFETY: `add` needs a result inside the bytes, of which there are more than `skipped`.
        let start = unsafe { start.add(plan.skipped) };
        let block = Self {
            start: start.as_ptr(),
            pages: plan.pages,
        };
        // Bytes of the map's last word after the last page stand for no page.
        for byte in plan.pages..plan.pages.next_multiple_of(MAP_WORD) {
            // SAFETY: `add` needs a result inside the block: the map ends at a multiple of a word,
            // inside the metadata.
            let byte = unsafe { start.add(byte) };
            // SAFETY: `write` needs memory that may be written: the block's may, by `new`'s
            // contract.
            unsafe { byte.write(METADATA) };
        }
        for page in 0..plan.pages {
            let used = if page < plan.metadata {
                Page::Metadata
            } else {
                Page::Free
            };
            block.set(page, used);
        }
        Some(block)
    }

    /// The number of pages, including those of the metadata.
    pub(crate) const fn pages(&self) -> usize {
        self.pages
    }

    /// The use of `page`.
    pub(crate) fn page(&self, page: usize) -> Page {
        Page::from_byte(self.byte(page))
    }

    /// The page map's byte for `page`.
    fn byte(&self, page: usize) -> u8 {
        if page >= self.pages {
            return METADATA;
        }
        // SAFETY: `add` needs a result inside the block: the page map has a byte for every page,
        // from the start of the block.
        let byte = unsafe { self.start.add(page) };
        // SAFETY: `read` needs
        // - memory that may be read: the block's may, by `new`'s contract;
        // - an initialised value: `new` has written the whole page map.
        unsafe { byte.read() }
    }

    /// Whether an object of `page` kept its place when it shrank.
    pub(crate) fn is_loose(&self, page: usize) -> bool {
        self.byte(page) & LOOSE != 0
    }

    /// Notes that an object of `page` kept its place when it shrank, until the page has another
    /// use.
    pub(crate) fn loosen(&self, page: usize) {
        self.set_byte(page, self.byte(page) | LOOSE);
    }

    /// Sets the use of `page`.
    pub(crate) fn set(&self, page: usize, used: Page) {
        self.set_byte(page, used.byte());
    }

    fn set_byte(&self, page: usize, value: u8) {
        if page < self.pages {
            // SAFETY: `add` needs a result inside the block: the page map has a byte for every
            // page.
            let byte = unsafe { self.start.add(page) };
            // SAFETY: `write` needs memory that may be written: the block's may, by `new`'s
            // contract.
            unsafe { byte.write(value) };
        }
    }

    /// The first page among `pages` with the use `wanted`.
    pub(crate) fn next(&self, pages: Range<usize>, wanted: Page) -> Option<usize> {
        let wanted = wanted.byte();
        let pattern = u32::from_ne_bytes([wanted; MAP_WORD]);
        let uses = u32::from_ne_bytes([!LOOSE; MAP_WORD]);
        let mut page = pages.start;
        while page < pages.end {
            if page % MAP_WORD == 0 && !has_zero_byte(self.bytes(page) & uses ^ pattern) {
                page += MAP_WORD;
            } else if self.byte(page) & !LOOSE == wanted {
                return Some(page);
            } else {
                page += 1;
            }
        }
        None
    }

    /// The page map's bytes for `page`, a multiple of [`MAP_WORD`], and the pages after it.
    fn bytes(&self, page: usize) -> u32 {
        if page >= self.pages {
            return u32::from_ne_bytes([METADATA; MAP_WORD]);
        }
        // SAFETY: `add` needs a result inside the block: the page map ends at a multiple of a word.
        let word = unsafe { self.start.cast::<u32>().add(page / MAP_WORD) };
        // SAFETY: `read` needs
        // - memory that may be read: the block's may, by `new`'s contract;
        // - alignment: the block is aligned to a page;
        // - an initialised value: `new` has written the page map up to the end of its last word.
        unsafe { word.read() }
    }

    /// Word `index` of the bitmap of `page`, if there is such a word.
    fn word(&self, page: usize, index: usize) -> Option<*mut u32> {
        if page >= self.pages || index >= Self::WORDS {
            return None;
        }
        let words = self.pages.div_ceil(MAP_WORD);
        let word = words + page * Self::WORDS + index;
        // SAFETY: `add` needs a result inside the block: the bitmaps follow the page map, which
        // ends at a multiple of a word, in the order of their pages, and all lie inside the
        // metadata.
        Some(unsafe { self.start.cast::<u32>().add(word) })
    }

    /// Reads word `index` of the bitmap of `page`. A set bit is a slot that is allocated, or no
    /// slot.
    pub(crate) fn bits(&self, page: usize, index: usize) -> u32 {
        match self.word(page, index) {
            // SAFETY: `read` needs
            // - memory that may be read: the block's may, by `new`'s contract;
            // - alignment: the block is aligned to a page;
            // - an initialised value: the word is written when the page becomes a span, and is not
            //   read before.
            Some(word) => unsafe { word.read() },
            None => u32::MAX,
        }
    }

    /// Writes word `index` of the bitmap of `page`.
    pub(crate) fn set_bits(&self, page: usize, index: usize, bits: u32) {
        if let Some(word) = self.word(page, index) {
            // SAFETY: `write` needs
            // - memory that may be written: the block's may, by `new`'s contract;
            // - alignment: the block is aligned to a page.
            unsafe { word.write(bits) };
        }
    }

    /// The pointer to the byte at `offset`, which lies in the block.
    pub(crate) const fn pointer(&self, offset: usize) -> Option<NonNull<u8>> {
        NonNull::new(self.start.wrapping_add(offset))
    }

    /// The distance of `pointer` from the start of the block: past its end for a pointer outside.
    pub(crate) fn offset(&self, pointer: NonNull<u8>) -> usize {
        pointer.addr().get().wrapping_sub(self.start.addr())
    }

    /// The number of pages from `page` to the next page whose address is a multiple of `align`
    /// pages, a power of two.
    pub(crate) fn misaligned(&self, page: usize, align: usize) -> usize {
        let number = (self.start.addr() / PAGE).wrapping_add(page);
        number.wrapping_neg() & (align - 1)
    }
}

/// Whether one of the four bytes is 0. Subtracting 1 from each byte sets the highest bit of a byte
/// that had it clear only where there was a 0.
const fn has_zero_byte(word: u32) -> bool {
    word.wrapping_sub(0x0101_0101) & !word & 0x8080_8080 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(start: usize, bytes: usize) -> Option<(usize, usize, usize)> {
        let plan = Plan::new::<256>(start, bytes)?;
        Some((plan.skipped, plan.pages, plan.metadata))
    }

    #[test]
    fn a_block_is_cut_to_whole_pages() {
        assert_eq!(plan(0x2000_0000, 64 << 10), Some((0, 256, 5)));
        assert_eq!(plan(0x2000_0001, 64 << 10), Some((255, 255, 5)));
        assert_eq!(plan(0x2000_00ff, 513), Some((1, 2, 1)));
        assert_eq!(plan(0x2000_00ff, 512), None, "one page is for metadata");
        assert_eq!(plan(0x2000_0000, 0), None);
    }

    #[test]
    fn a_zero_byte_is_found_wherever_it_is() {
        for word in [0x00ff_ffff, 0xff00_0101, 0x8080_0080, 0x0101_0100, 0] {
            assert!(has_zero_byte(word), "{word:#x}");
        }
        for word in [0x0101_0101, 0x8080_8080, 0xffff_ffff, 0x0180_ff7f] {
            assert!(!has_zero_byte(word), "{word:#x}");
        }
    }

    #[test]
    fn the_ends_of_the_address_space_hold_no_objects() {
        let top = usize::MAX - 0xffff;
        assert_eq!(plan(top, 0x1_0000), Some((0, 255, 5)));
        assert_eq!(plan(top, 0xff00), Some((0, 255, 5)), "one below");
        assert_eq!(plan(top, usize::MAX), Some((0, 255, 5)), "it wraps");
        assert_eq!(plan(usize::MAX, usize::MAX), None);
        assert_eq!(plan(usize::MAX - 1024, 1024), Some((1, 3, 1)));
        assert_eq!(plan(1, 1024), Some((255, 3, 1)), "address 0 is left out");
    }
}
