//! Windows: the address space that the kernel gave, and what of it is still unused.
//!
//! Unused address space is Reserved. Metadata takes it from the high end of its room, growth from
//! the low end of the lowest piece that fits, so that neither needs a fixed share; growth only
//! leaves the last pages to metadata. The growth gate guards all of it.

use archipelago_api::{Kernel, Machine, Offset};

use super::cause::Cause;
use super::ledger::Purpose;
use super::metadata::Metadata;
use super::need::Trial;
use super::ranges::{Outgrown, Ranges, RangesError};
use super::source::Source;
use super::space::Space;
use super::token::Reserved;
use crate::base::invariant::expect_invariant;
use crate::base::{PageIdx, PageRun, Shape};

/// Growth leaves this many bytes of every page to metadata: four for its handle in a page map, and
/// as many for the bits and summaries of its chunk, for the entry of the heap bitmap's part that
/// covers it, and for what is left over. Span records lie in pages of the heap, and so do the parts
/// of the heap bitmap.
const METADATA_BYTES: usize = 8;

/// Growth leaves one page in this many to metadata in a space that is larger than handles reach:
/// windows that lie beyond have their tables here too, in blocks of many pages.
const FAR_SHARE: usize = 20;

/// Bits of an address of a space all of which handles reach from anywhere in it.
const NEAR_BITS: u32 = 37;

/// How far span handles reach, in bytes to either side of their anchor.
pub(crate) const REACH: u64 = 1 << 37;

/// The pages on which handles that count from `anchor` can name records.
pub(crate) fn reach<S: Shape>(anchor: Offset) -> PageRun {
    let bytes = usize::try_from(REACH).unwrap_or(usize::MAX);
    let page = |offset: usize| PageIdx(offset >> S::GEOMETRY.page_shift);
    PageRun::between(
        page(anchor.value().saturating_sub(bytes)),
        page(anchor.value().saturating_add(bytes)),
    )
}

/// All windows, and the address space of them that is unused.
#[derive(Debug)]
pub(crate) struct Windows {
    metadata: Metadata,
    /// Address space that is neither the heap's pages nor in metadata's room.
    ///
    /// Invariant: all of it is Reserved, and no token names a part of it.
    unused: Ranges,
    all: Ranges,
    /// Pages of the metadata's room end below this one.
    border: PageIdx,
    /// Growth leaves a share to metadata, because no window is set aside for it.
    keeps_share: bool,
    /// The offset that span handles count from: metadata stays where they reach.
    anchor: Offset,
    /// Pieces that were taken and are neither published nor put back yet.
    claims: u16,
}

/// Where metadata lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    /// The pages of the window that metadata comes from.
    pub(crate) room: PageRun,
    /// The window is metadata's alone.
    pub(crate) is_apart: bool,
    /// The offset that span handles count from.
    pub(crate) anchor: Offset,
    /// Bytes of an extent of metadata, a power of two and at least a page.
    pub(crate) extent_bytes: usize,
}

impl Windows {
    /// No windows.
    pub(crate) const fn new() -> Self {
        Self {
            metadata: Metadata::new(),
            unused: Ranges::new(),
            all: Ranges::new(),
            border: PageIdx(0),
            keeps_share: false,
            anchor: Offset::new(0),
            claims: 0,
        }
    }

    /// Forgets all windows and the metadata in them.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Says where metadata lives.
    ///
    /// # Safety
    /// The whole room is Reserved, and neither a token nor another record names a part of it.
    pub(crate) unsafe fn set_home<S: Shape>(&mut self, home: Home) {
        self.metadata.set_room(home.room);
        self.metadata.set_extent_bytes(home.extent_bytes);
        self.border = if home.is_apart {
            home.room.first
        } else {
            PageIdx(home.room.end().0 - Self::share_of::<S>(home.room.count))
        };
        self.keeps_share = !home.is_apart;
        self.anchor = home.anchor;
    }

    /// Enters the window of metadata, whose address space is its room.
    ///
    /// # Errors
    /// The array of ranges was not topped up.
    pub(crate) fn add_home(&mut self, pages: PageRun) -> Result<(), RangesError> {
        self.all.add(pages)
    }

    /// Enters a window, all of whose pages are unused.
    ///
    /// # Errors
    /// The arrays of ranges were not topped up, or the range has no page.
    pub(crate) fn add<S: Shape>(&mut self, reserved: Reserved) -> Result<(), RangesError> {
        let pages = PageRun::inside::<S>(reserved.record()).ok_or(RangesError::Empty)?;
        self.all.add(pages)?;
        self.unused.add(pages)
    }

    /// The windows.
    pub(crate) const fn all(&self) -> &Ranges {
        &self.all
    }

    /// The unused address space, apart from metadata's room.
    pub(crate) const fn unused(&self) -> &Ranges {
        &self.unused
    }

    /// Address space that metadata will use next.
    pub(crate) const fn room(&self) -> PageRun {
        self.metadata.room()
    }

    /// Bytes of metadata memory that are Ready and not in use.
    pub(crate) fn unused_metadata(&self) -> usize {
        self.metadata.unused()
    }

    /// Whether `page`, which the heap does not own, may hold metadata.
    pub(crate) fn is_metadata(&self, page: PageIdx) -> bool {
        let is_unused = self.unused.contains(page) || self.room().contains(page);
        self.all.contains(page) && !is_unused
    }

    /// A source of metadata memory.
    pub(crate) fn source<'a, M: Machine>(
        &'a mut self,
        space: &'a Space<'a, M>,
    ) -> super::metadata::MetadataSource<'a, M> {
        self.metadata.source(space)
    }

    /// Puts an outgrown array of ranges of this heap in stock.
    pub(crate) fn put_in_stock<M: Machine>(&mut self, outgrown: Outgrown, space: &Space<'_, M>) {
        self.metadata.put_in_stock(outgrown, space);
    }

    /// Unused address space that heap pages may come from, in no particular order.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = PageRun> + '_ {
        let room = self.room();
        let front = PageRun::between(room.first, room.end().min(self.border));
        self.unused
            .iter()
            .chain(core::iter::once(front))
            .filter(|piece| !piece.is_empty())
    }

    /// Whether `pages` single pages could be had after metadata has taken what `trial` has, in a
    /// heap whose metadata is at home in `home` and that has `others` more pages elsewhere.
    pub(crate) fn could_serve<S: Shape>(
        home: &Home,
        others: usize,
        trial: &Trial,
        pages: usize,
    ) -> bool {
        if home.is_apart {
            return others >= pages;
        }
        // Growth leaves metadata its share of the room, too. That of all pages is no smaller.
        let room = home.room;
        let front = trial.room().end().0.saturating_sub(room.first.0);
        let total = room.count + others;
        front + others >= pages && total - Self::share_of::<S>(total) >= pages
    }

    /// Pages that a heap which owns `owned` pages may still take.
    pub(crate) fn allowance<S: Shape>(&self, owned: usize) -> usize {
        let total = self.all.total_pages();
        let kept = if self.keeps_share {
            Self::share_of::<S>(total)
        } else {
            0
        };
        total.saturating_sub(owned).saturating_sub(kept)
    }

    /// How many of `pages` pages growth leaves to metadata.
    fn share_of<S: Shape>(pages: usize) -> usize {
        let share = if S::GEOMETRY.address_bits > NEAR_BITS {
            FAR_SHARE
        } else {
            S::GEOMETRY.page_bytes() / METADATA_BYTES
        };
        (pages / share).max(1)
    }

    /// Takes `piece` off the unused address space. [`ensure_ranges`](Self::ensure_ranges) was
    /// called, and [`put_back`](Self::put_back) or [`settle`](Self::settle) is called later.
    pub(crate) fn take<S: Shape, K: Kernel>(&mut self, piece: PageRun) -> Reserved {
        let room = self.room();
        let taken = if room.contains(piece.first) && piece.end() <= room.end() {
            self.metadata
                .set_room(PageRun::between(piece.end(), room.end()));
            // The room begins after the piece: the pages below it are unused all the same.
            let below = PageRun::between(room.first, piece.first);
            self.add_unused::<K>(below);
            Ok(())
        } else {
            self.unused.remove(piece)
        };
        self.claims += 1;
        let range = taken.ok().and_then(|()| piece.range::<S>()).ok_or(());
        let range = expect_invariant::<K, _, _>(range, "a piece is unused");
        // SAFETY: the piece was unused, so it is Reserved and named by no token; it was taken off
        // the record just now.
        unsafe { Reserved::assume(range) }
    }

    /// Undoes [`take`](Self::take), also for a part of the piece.
    pub(crate) fn put_back<S: Shape, K: Kernel>(&mut self, reserved: Reserved) {
        let range = reserved.record();
        let first = PageIdx::of::<S>(range.base()).unwrap_or(PageIdx(0));
        let pages = PageRun::new(first, range.bytes() >> S::GEOMETRY.page_shift);
        let room = self.room();
        if !room.is_empty() && pages.end() == room.first {
            self.metadata
                .set_room(PageRun::between(pages.first, room.end()));
        } else {
            self.add_unused::<K>(pages);
        }
    }

    fn add_unused<K: Kernel>(&mut self, pages: PageRun) {
        if !pages.is_empty() {
            let added = self.unused.add(pages);
            expect_invariant::<K, _, _>(added, "unused address space is not unused twice");
        }
    }

    /// Says that all of a piece that was taken is published or put back.
    pub(crate) const fn settle(&mut self) {
        self.claims -= 1;
    }

    /// Makes room for one more range of each kind, and for the pieces that were taken and may be
    /// put back.
    ///
    /// # Errors
    /// Why there is no memory for a larger array.
    pub(crate) fn ensure_ranges<M: Machine>(&mut self, space: &Space<'_, M>) -> Result<(), Cause> {
        let more = usize::from(self.claims) + 1;
        ensure_room(&mut self.unused, &mut self.metadata, more, space)?;
        ensure_room(&mut self.all, &mut self.metadata, 1, space)
    }

    /// Runs `work`, which takes metadata memory, again as long as it finds no address space and
    /// another piece can take the place of the metadata's room.
    ///
    /// # Errors
    /// The error of `work`.
    pub(crate) fn with_metadata<S: Shape, K: Kernel, R>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        loop {
            match work(self) {
                Err(Cause::MetadataWindow { .. }) if self.replace_room::<S, K>() => {}
                answer => return answer,
            }
        }
    }

    /// Lets metadata go on in the largest piece of unused address space that span handles reach,
    /// when its room is exhausted. A piece that is no larger than the rest of the room would not
    /// help, and the two would replace each other for ever.
    fn replace_room<S: Shape, K: Kernel>(&mut self) -> bool {
        let (reach, rest) = (reach::<S>(self.anchor), self.room());
        let (mut largest, mut is_whole) = (rest, false);
        for piece in self.unused.iter() {
            let part = PageRun::between(piece.first.max(reach.first), piece.end().min(reach.end()));
            if part.count > rest.count && part.count >= largest.count {
                (largest, is_whole) = (part, part == piece);
            }
        }
        // The rest of the room takes the slot of the piece that replaces it, if all of that goes.
        let has_slot = is_whole || self.unused.needs_room(1).is_none();
        if largest.count == rest.count || !has_slot {
            return false;
        }
        let removed = self.unused.remove(largest);
        expect_invariant::<K, _, _>(removed, "the largest piece is unused");
        if !rest.is_empty() {
            expect_invariant::<K, _, _>(self.unused.add(rest), "the room is not unused twice");
        }
        self.metadata.set_room(largest);
        self.border = PageIdx(largest.end().0 - Self::share_of::<S>(largest.count));
        true
    }

    /// The offset that span handles count from: the end of the metadata's room.
    pub(crate) const fn anchor<S: Shape>(room: PageRun) -> Offset {
        Offset::new(room.end().0 << S::GEOMETRY.page_shift)
    }
}

/// Doubles the array of `ranges` if it has no room for `more` more.
fn ensure_room<M: Machine>(
    ranges: &mut Ranges,
    metadata: &mut Metadata,
    more: usize,
    space: &Space<'_, M>,
) -> Result<(), Cause> {
    if let Some(capacity) = ranges.needs_room(more) {
        let memory = metadata.source(space).take(Purpose::Ranges, capacity, 0)?;
        if let Some(old) = ranges.adopt(memory) {
            metadata.put_in_stock(old, space);
        }
    }
    Ok(())
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl Windows {
    pub(crate) fn plant(&mut self) -> (&mut Ranges, &mut Ranges, &mut Metadata) {
        (&mut self.all, &mut self.unused, &mut self.metadata)
    }

    pub(crate) fn plant_room(&mut self, room: PageRun) {
        self.metadata.set_room(room);
    }
}
