//! Statistics, and the check of the heap's state.

use archipelago_api::VirtAddr;

use crate::block::{Block, Page, UNIT};
use crate::pool::{Pool, bytes_of};

/// The bytes that are used and free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of live objects, rounded up to slots and pages.
    pub used: usize,
    /// Bytes of free pages and free slots.
    pub free: usize,
    /// Bytes of the longest run of free pages: the size of the largest object that can be
    /// allocated.
    pub largest: usize,
}

impl Stats {
    pub(crate) fn of<const PAGE: usize>(pool: &Pool<PAGE>) -> Self {
        let mut stats = Self::default();
        let mut run = 0;
        for page in 0..pool.block.pages() {
            let used = pool.block.page(page);
            run = if used == Page::Free { run + PAGE } else { 0 };
            stats.largest = stats.largest.max(run);
            match used {
                Page::Metadata => {}
                Page::Free => stats.free += PAGE,
                Page::Head | Page::Tail => stats.used += PAGE,
                Page::Slots(units) => {
                    let (live, free) = pool.count_slots(page, units);
                    stats.used += live * bytes_of(units);
                    stats.free += free * bytes_of(units);
                }
            }
        }
        stats
    }
}

/// A live object, as a walk finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveObject {
    pub(crate) address: VirtAddr,
    /// Bytes from the start of the block.
    pub(crate) offset: usize,
    /// Bytes of the slot or of the pages.
    pub(crate) bytes: usize,
}

impl<const PAGE: usize> Pool<PAGE> {
    /// The number of live slots and of free slots of a page.
    fn count_slots(&self, page: usize, units: u8) -> (usize, usize) {
        (0..Block::<PAGE>::WORDS).fold((0, 0), |(live, free), index| {
            let bits = self.block.bits(page, index);
            let taken = bits & !Self::no_slots(units, index);
            (
                live + taken.count_ones() as usize,
                free + bits.count_zeros() as usize,
            )
        })
    }

    /// The first live object that begins at `offset` in the block, or after it.
    pub(crate) fn object_from(&self, offset: usize) -> Option<LiveObject> {
        for page in offset / PAGE..self.block.pages() {
            let skipped = offset.saturating_sub(page * PAGE);
            let found = match self.block.page(page) {
                Page::Head if skipped == 0 => Some((0, self.run_pages(page) * PAGE)),
                Page::Slots(units) => {
                    let bytes = bytes_of(units);
                    let ends = (1..=PAGE / UNIT).take_while(|slots| slots * bytes <= PAGE);
                    ends.map(|end| end - 1)
                        .find(|slot| slot * bytes >= skipped && self.is_live(page, *slot))
                        .map(|slot| (slot * bytes, bytes))
                }
                Page::Head | Page::Free | Page::Tail | Page::Metadata => None,
            };
            if let Some((inside, bytes)) = found {
                let offset = page * PAGE + inside;
                let address = VirtAddr::new(self.block.pointer(offset)?.addr().get());
                return Some(LiveObject {
                    address,
                    offset,
                    bytes,
                });
            }
        }
        None
    }

    /// Whether a slot of `page` is allocated.
    fn is_live(&self, page: usize, slot: usize) -> bool {
        self.block.bits(page, slot / 32) >> (slot % 32) & 1 != 0
    }

    /// Checks page map, bitmaps and bounds against each other.
    ///
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn verify(&self) -> Result<(), &'static str> {
        let mut before = Page::Metadata;
        for page in 0..self.block.pages() {
            let used = self.block.page(page);
            self.verify_page(page, used)?;
            let in_run = matches!(before, Page::Head | Page::Tail);
            if used == Page::Tail && !in_run {
                return Err("a run begins with its head");
            }
            if used == Page::Metadata && before != Page::Metadata {
                return Err("metadata is at the low end");
            }
            before = used;
        }
        Ok(())
    }

    fn verify_page(&self, page: usize, used: Page) -> Result<(), &'static str> {
        if used == Page::Free && page < self.lowest_free() {
            return Err("no page below the lowest is free");
        }
        let Page::Slots(units) = used else {
            return Ok(());
        };
        let (live, free) = self.count_slots(page, units);
        if live == 0 {
            return Err("a span has a live slot");
        }
        if free > 0 && !self.spans(units).contains(&page) {
            return Err("no page out of bounds has a free slot");
        }
        let is_there = |index| self.block.bits(page, index) & Self::no_slots(units, index);
        if (0..Block::<PAGE>::WORDS).any(|index| is_there(index) != Self::no_slots(units, index)) {
            return Err("bits without a slot are set");
        }
        Ok(())
    }
}
