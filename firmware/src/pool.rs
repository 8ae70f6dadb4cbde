//! The pool: pages and slots, allocated, checked and freed.

use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;

use crate::block::{Block, Page, UNIT};
use crate::misuse::Misuse;

/// Units of the largest slot that a page size allows, and one more.
const SIZES: usize = 1024 / 2 / UNIT + 1;

/// The heap's state beside its block: the bounds of searches.
#[derive(Debug)]
pub(crate) struct Pool<const PAGE: usize> {
    pub(crate) block: Block<PAGE>,
    /// No page below is free.
    lowest_free: usize,
    /// By the units of a slot: the pages among which those with a free slot of that size are.
    spans: [Bounds; SIZES],
}

/// The first and the last page that may have a free slot of one size. A page number that does not
/// fit is saved as `u16::MAX`; a last page of `u16::MAX` stands for the end of the block.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    first: u16,
    last: u16,
}

/// The kind of memory for a layout. It follows from the layout alone, so that a free can be checked
/// against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// A slot of so many units.
    Slot(u8),
    /// A run of so many pages, the first at a multiple of `align` pages.
    Run { pages: usize, align: usize },
}

/// A live object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Object {
    /// A slot of a page.
    Slot { page: usize, slot: usize },
    /// A run of pages.
    Run { page: usize, pages: usize },
}

impl<const PAGE: usize> Pool<PAGE> {
    const CHECKED: () = assert!(
        PAGE.is_power_of_two() && PAGE >= 256 && PAGE <= 1024,
        "a page has 256, 512 or 1024 bytes"
    );

    /// A pool without memory.
    pub(crate) const EMPTY: Self = {
        let () = Self::CHECKED;
        Self {
            block: Block::EMPTY,
            lowest_free: 0,
            spans: [Bounds { first: 0, last: 0 }; SIZES],
        }
    };

    /// A pool over `block`, all of whose pages but the first ones are free.
    pub(crate) const fn new(block: Block<PAGE>) -> Self {
        Self {
            block,
            ..Self::EMPTY
        }
    }

    /// The kind of memory for `layout`.
    ///
    /// A page is cut into equal slots, whose size is rounded down to a multiple of the alignment:
    /// there are at most 23 sizes.
    pub(crate) const fn served(layout: Layout) -> Served {
        let align = if layout.align() > UNIT {
            layout.align()
        } else {
            UNIT
        };
        // At most 2^(bits - 1): no layout is larger when it is rounded up to its alignment.
        let bytes = (layout.size() + (align - 1)) & !(align - 1);
        if bytes > PAGE / 2 {
            let pages = layout.size().div_ceil(PAGE);
            let align = if align > PAGE { align / PAGE } else { 1 };
            return Served::Run { pages, align };
        }
        let part = divide(PAGE, divide(PAGE, bytes));
        Served::Slot(in_units(part & !(align - 1)))
    }

    /// Allocates memory for `layout`; `None` if there is none.
    pub(crate) fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let offset = match Self::served(layout) {
            Served::Slot(units) => self.allocate_slot(units),
            Served::Run { pages, align } => self.allocate_run(pages, align),
        };
        self.block.pointer(offset?)
    }

    /// Allocates the lowest free slot, and returns its offset.
    fn allocate_slot(&mut self, units: u8) -> Option<usize> {
        let mut among = self.spans(units);
        let (page, slot) = loop {
            let Some(page) = self.block.next(among.clone(), Page::Slots(units)) else {
                let page = self.find_free(1, 1)?;
                self.open(page, units);
                among.end = page + 1;
                break (page, self.take_bit(page)?);
            };
            if let Some(slot) = self.take_bit(page) {
                break (page, slot);
            }
            among.start = page + 1;
        };
        self.note_spans(units, page..among.end);
        Some(page * PAGE + slot * bytes_of(units))
    }

    /// Makes a free page a span of free slots.
    fn open(&self, page: usize, units: u8) {
        self.block.set(page, Page::Slots(units));
        for index in 0..Block::<PAGE>::WORDS {
            self.block
                .set_bits(page, index, Self::no_slots(units, index));
        }
    }

    /// The bits of word `index` of a bitmap that stand for no slot.
    pub(crate) const fn no_slots(units: u8, index: usize) -> u32 {
        let slots = divide(PAGE, bytes_of(units)).saturating_sub(index * 32);
        if slots < 32 { u32::MAX << slots } else { 0 }
    }

    /// Takes the lowest free slot of a page.
    fn take_bit(&self, page: usize) -> Option<usize> {
        for index in 0..Block::<PAGE>::WORDS {
            let bits = self.block.bits(page, index);
            if bits != u32::MAX {
                self.block.set_bits(page, index, bits | (bits + 1));
                return Some(index * 32 + bits.trailing_ones() as usize);
            }
        }
        None
    }

    /// The pages among which those with a free slot of `units` are.
    pub(crate) fn spans(&self, units: u8) -> Range<usize> {
        match self.spans.get(usize::from(units)) {
            Some(bounds) if bounds.last < u16::MAX => {
                usize::from(bounds.first)..usize::from(bounds.last) + 1
            }
            Some(bounds) => usize::from(bounds.first)..self.block.pages(),
            None => 0..self.block.pages(),
        }
    }

    /// Notes that no page outside of `pages`, which is not empty, has a free slot of `units`.
    fn note_spans(&mut self, units: u8, pages: Range<usize>) {
        if let Some(bounds) = self.spans.get_mut(usize::from(units)) {
            *bounds = Bounds {
                first: u16::try_from(pages.start).unwrap_or(u16::MAX),
                last: u16::try_from(pages.end - 1).unwrap_or(u16::MAX),
            };
        }
    }

    /// Allocates the lowest free run of pages, and returns its offset.
    fn allocate_run(&mut self, pages: usize, align: usize) -> Option<usize> {
        let first = self.find_free(pages, align)?;
        self.fill_run(first, pages);
        Some(first * PAGE)
    }

    fn fill_run(&self, first: usize, pages: usize) {
        self.block.set(first, Page::Head);
        self.set_all(first + 1, pages - 1, Page::Tail);
    }

    fn set_all(&self, first: usize, pages: usize, used: Page) {
        for page in first..first + pages {
            self.block.set(page, used);
        }
    }

    /// The first of the lowest `pages` adjacent free pages, aligned to `align` pages. The caller
    /// allocates them.
    fn find_free(&mut self, pages: usize, align: usize) -> Option<usize> {
        let lowest = self
            .block
            .next(self.lowest_free..self.block.pages(), Page::Free)?;
        let mut first = lowest;
        loop {
            first += self.block.misaligned(first, align);
            let free = self.count(first, pages, Page::Free);
            if free == pages {
                break;
            }
            first = self
                .block
                .next(first + free..self.block.pages(), Page::Free)?;
        }
        self.lowest_free = if first == lowest {
            first + pages
        } else {
            lowest
        };
        Some(first)
    }

    /// The number of pages of the run that begins with `head`.
    pub(crate) fn run_pages(&self, head: usize) -> usize {
        1 + self.count(head + 1, usize::MAX, Page::Tail)
    }

    /// The number of adjacent pages from `first` up with the use `used`, at most `most`.
    fn count(&self, first: usize, most: usize, used: Page) -> usize {
        let mut count = 0;
        while count < most && self.block.page(first + count) == used {
            count += 1;
        }
        count
    }

    /// The object at `pointer`, checked against `layout`.
    pub(crate) fn find(&self, pointer: NonNull<u8>, layout: Layout) -> Result<Object, Misuse> {
        let offset = self.block.offset(pointer);
        let (page, inside) = (offset / PAGE, offset % PAGE);
        let served = Self::served(layout);
        match self.block.page(page) {
            Page::Free => Err(Misuse::DoubleFree),
            Page::Metadata => Err(Misuse::ForeignPointer),
            Page::Slots(units) => {
                let slot = divide(inside, bytes_of(units));
                if slot * bytes_of(units) != inside || slot >= divide(PAGE, bytes_of(units)) {
                    Err(Misuse::InteriorPointer)
                } else if self.block.bits(page, slot / 32) >> (slot % 32) & 1 == 0 {
                    Err(Misuse::DoubleFree)
                } else if served == Served::Slot(units)
                    || self.block.is_loose(page)
                        && layout.size() <= bytes_of(units)
                        && is_aligned(pointer, layout)
                {
                    Ok(Object::Slot { page, slot })
                } else {
                    Err(Misuse::WrongLayout)
                }
            }
            Page::Head if inside == 0 => {
                let pages = self.run_pages(page);
                let is_run = matches!(served, Served::Run { .. }) || self.block.is_loose(page);
                let same = layout.size().div_ceil(PAGE) == pages;
                if is_run && same && is_aligned(pointer, layout) {
                    Ok(Object::Run { page, pages })
                } else {
                    Err(Misuse::WrongLayout)
                }
            }
            Page::Head | Page::Tail => Err(Misuse::InteriorPointer),
        }
    }

    /// Frees an object.
    pub(crate) fn free(&mut self, pointer: NonNull<u8>, layout: Layout) -> Result<(), Misuse> {
        match self.find(pointer, layout)? {
            Object::Run { page, pages } => self.free_pages(page, pages),
            Object::Slot { page, slot } => self.free_slot(page, slot),
        }
        Ok(())
    }

    fn free_slot(&mut self, page: usize, slot: usize) {
        let Page::Slots(units) = self.block.page(page) else {
            return;
        };
        let bits = self.block.bits(page, slot / 32);
        self.block
            .set_bits(page, slot / 32, bits & !(1 << (slot % 32)));
        let is_empty = (0..Block::<PAGE>::WORDS)
            .all(|index| self.block.bits(page, index) == Self::no_slots(units, index));
        if is_empty {
            self.free_pages(page, 1);
        } else {
            let among = self.spans(units);
            self.note_spans(units, among.start.min(page)..among.end.max(page + 1));
        }
    }

    /// The page below which no page is free.
    pub(crate) const fn lowest_free(&self) -> usize {
        self.lowest_free
    }

    fn free_pages(&mut self, first: usize, pages: usize) {
        self.set_all(first, pages, Page::Free);
        self.lowest_free = self.lowest_free.min(first);
    }

    /// Resizes the object at `pointer` to `new` in place. Returns false, and changes nothing, if
    /// that is not possible. For an object that shrinks and `stays`, it always is.
    pub(crate) fn resize(
        &mut self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
        stays: bool,
    ) -> Result<bool, Misuse> {
        let object = self.find(pointer, old)?;
        let served = Self::served(new);
        let (page, same) = match object {
            Object::Slot { page, .. } => match self.block.page(page) {
                Page::Slots(units) => (page, served == Served::Slot(units)),
                _ => (page, false),
            },
            Object::Run { page, .. } => {
                let is_run = matches!(served, Served::Run { .. });
                (page, is_run && is_aligned(pointer, new))
            }
        };
        if !same {
            if !stays {
                return Ok(false);
            }
            self.block.loosen(page);
        }
        let Object::Run { page, pages } = object else {
            return Ok(true);
        };
        let asked = new.size().div_ceil(PAGE);
        if asked < pages {
            self.free_pages(page + asked, pages - asked);
        } else {
            let more = asked - pages;
            if self.count(page + pages, more, Page::Free) < more {
                return Ok(false);
            }
            self.set_all(page + pages, more, Page::Tail);
        }
        Ok(true)
    }
}

/// Whether `pointer` is aligned to `layout`.
pub(crate) fn is_aligned(pointer: NonNull<u8>, layout: Layout) -> bool {
    pointer.addr().get() & (layout.align() - 1) == 0
}

/// Bytes of a slot.
pub(crate) const fn bytes_of(units: u8) -> usize {
    units as usize * UNIT
}

/// `bytes` in units: at most 64 of them.
const fn in_units(bytes: usize) -> u8 {
    let [units, ..] = (bytes / UNIT).to_le_bytes();
    units
}

/// The quotient of two numbers of which the second is never 0. Without a panic, which would bring
/// formatting code into the image.
const fn divide(number: usize, by: usize) -> usize {
    match number.checked_div(by) {
        Some(quotient) => quotient,
        None => 0,
    }
}
