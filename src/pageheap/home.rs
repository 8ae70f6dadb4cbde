//! The choice of the window that metadata comes from, by arithmetic alone.

use archipelago_api::{Kernel, Machine};

use super::bitmap::BitmapMemory;
use super::page_heap::PageHeap;
use super::window::{InitError, Window, WindowRule};
use crate::arena::ArenaIndex;
use crate::base::PageRun;
use crate::page::FreePages;
use crate::region::ranges::{FIRST_CAPACITY, Slot};
use crate::region::windows::Home;
use crate::region::{LINE_BYTES, Need, Trial, Windows};
use crate::span::{RecordKind, Records, table};

/// The windows given, one of which may be larger than it was given.
///
/// Windows that were checked together have different bases.
#[derive(Clone, Copy)]
struct Offer<'a> {
    given: &'a [Window],
    larger: Window,
}

/// The pages of the windows for objects.
struct ObjectPages {
    total: usize,
    /// The largest window's.
    most: usize,
}

impl Offer<'_> {
    fn at(&self, index: usize) -> Window {
        let window = self.given[index];
        if window.base == self.larger.base {
            self.larger
        } else {
            window
        }
    }

    /// The pages of the window at `index` if it is for objects.
    fn objects_at<M: Machine>(&self, index: usize) -> Option<PageRun> {
        let window = self.at(index);
        if window.for_metadata {
            return None;
        }
        window.pages::<M>().ok()
    }

    /// The pages of the windows for objects.
    fn objects<M: Machine>(&self) -> ObjectPages {
        let mut objects = ObjectPages { total: 0, most: 0 };
        for index in 0..self.given.len() {
            if let Some(pages) = self.objects_at::<M>(index) {
                objects.total += pages.count;
                objects.most = objects.most.max(pages.count);
            }
        }
        objects
    }

    /// The index of the window for metadata.
    fn set_aside(&self) -> Option<usize> {
        self.given.iter().position(|window| window.for_metadata)
    }
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// The window for metadata, or else the first that has room for the first metadata and for
    /// objects.
    ///
    /// # Errors
    /// [`WindowRule::NoRoomForMetadata`]: no window has.
    pub(super) fn choose_home(given: &[Window]) -> Result<Window, InitError> {
        let offer = Offer {
            given,
            larger: given[0],
        };
        Self::find_home(&offer).ok_or_else(|| {
            let window = Self::too_small(&offer);
            let smallest = Self::smallest(given, window);
            let rule = WindowRule::NoRoomForMetadata { smallest };
            InitError::Window { window, rule }
        })
    }

    /// The window to enlarge of windows that do not serve: the first for objects if there are too
    /// few pages for them, else the one for metadata.
    fn too_small(offer: &Offer<'_>) -> Window {
        let lacks_pages = offer.objects::<M>().total < Self::first_pages(true);
        let is_too_small = |window: &&Window| window.for_metadata != lacks_pages;
        let found = offer.given.iter().find(is_too_small);
        *found.unwrap_or(&offer.given[0])
    }

    /// The smallest length at which `window`, one of those given, would do; or the first at which
    /// it leaves the address space.
    ///
    /// A search by halves finds it, in as many steps as a length has bits. Where metadata goes on
    /// in another window, a longer one may be too small although a shorter one would do: then the
    /// length that is found does, and one granule less does not.
    fn smallest(given: &[Window], window: Window) -> usize {
        let granule = M::GEOMETRY.granule_bytes();
        let lengthened = |granules: usize| {
            let more = granules.saturating_mul(granule);
            window.bytes.saturating_add(more)
        };
        let (mut short, mut long) = (0, (M::GEOMETRY.last_offset().value() / granule) + 1);
        while long - short > 1 {
            let middle = short + (long - short) / 2;
            let mut larger = window;
            larger.bytes = lengthened(middle);
            if larger.pages::<M>().is_err() || Self::would_do(&Offer { given, larger }) {
                long = middle;
            } else {
                short = middle;
            }
        }
        lengthened(long)
    }

    /// Whether a heap would come online, or whether the only reason why not is the window for
    /// metadata, which is too small to note in it where other windows are.
    fn would_do(offer: &Offer<'_>) -> bool {
        if Self::find_home(offer).is_some() {
            return true;
        }
        let window = offer.larger;
        let Some(set_aside) = offer.set_aside().filter(|_| !window.for_metadata) else {
            return false;
        };
        let Ok(at) = Self::home_at(offer.at(set_aside)) else {
            return false;
        };
        let mut trial = Trial::at(at.room, at.extent_bytes);
        let (ranges, count) = Self::WITH_RECORDS[0];
        !trial.take::<M>(ranges, count) && offer.objects::<M>().total >= Self::first_pages(true)
    }

    /// The window that metadata would be at home in, if a heap in these windows would serve.
    fn find_home(offer: &Offer<'_>) -> Option<Window> {
        if let Some(set_aside) = offer.set_aside() {
            let home = offer.at(set_aside);
            return Self::could_serve_apart(offer, home).then_some(home);
        }
        for index in 0..offer.given.len() {
            let home = offer.at(index);
            if Self::could_serve(offer, home) {
                return Some(home);
            }
        }
        None
    }

    /// Metadata at home in `window`.
    pub(super) fn home_at(window: Window) -> Result<Home, InitError> {
        let room = window.pages::<M>()?;
        Ok(Home {
            room,
            is_apart: window.for_metadata,
            anchor: Windows::anchor::<M>(room),
            extent_bytes: M::GEOMETRY.page_bytes().max(ArenaIndex::<M>::BLOCK_BYTES),
        })
    }

    /// Whether a byte and a page could be had if metadata were at home in `home`, one of the
    /// windows for objects.
    fn could_serve(offer: &Offer<'_>, home: Window) -> bool {
        let Ok(at) = Self::home_at(home) else {
            return false;
        };
        let others = offer.objects::<M>().total - at.room.count;
        let mut trial = Trial::at(at.room, at.extent_bytes);
        let needs = if Self::has_pieces(false) {
            &Self::WITH_RECORDS
        } else {
            &Self::WITHOUT_RECORDS
        };
        for (need, count) in needs {
            if !trial.take::<M>(*need, *count) {
                return false;
            }
        }
        Windows::could_serve::<M>(&at, others, &trial, Self::first_pages(false))
    }

    /// Whether a byte and a page could be had if metadata were at home in `home`, the window for
    /// it, and went on in the largest window for objects when there is no room left.
    fn could_serve_apart(offer: &Offer<'_>, home: Window) -> bool {
        let Ok(at) = Self::home_at(home) else {
            return false;
        };
        let pages = Self::first_pages(true);
        let most = offer.objects::<M>().most;
        for index in 0..offer.given.len() {
            let Some(next) = offer.objects_at::<M>(index) else {
                continue;
            };
            // Growth may have taken pages of any window by then.
            let may_be_largest = next.count + pages >= most;
            if may_be_largest && !Self::could_go_on(offer, at, next) {
                return false;
            }
        }
        true
    }

    /// Whether a byte and a page could be had if metadata at home in `at` went on in `next`, the
    /// pages of a window for objects.
    fn could_go_on(offer: &Offer<'_>, mut at: Home, next: PageRun) -> bool {
        let pages = Self::first_pages(true);
        let mut others = offer.objects::<M>().total;
        let mut trial = Trial::at(at.room, at.extent_bytes);
        for (index, (need, count)) in Self::WITH_RECORDS.iter().enumerate() {
            let mut left = *count;
            while left > 0 {
                if trial.take::<M>(*need, 1) {
                    left -= 1;
                    continue;
                }
                // The first arrays note the windows that metadata can go on in. The rest of the
                // room is smaller than an extent, and so than each room that one fits.
                if index == 0 || !at.is_apart {
                    return false;
                }
                trial.go_on_in(next);
                (at.room, at.is_apart) = (next, false);
                // Objects may come from its low end before any other place.
                others = 0;
            }
        }
        Windows::could_serve::<M>(&at, others, &trial, pages)
    }

    /// Whether the first records lie in metadata memory.
    const fn has_pieces(is_apart: bool) -> bool {
        M::DECOMMITS || is_apart
    }

    /// The first metadata, in the order of `init` and of the first growth, each piece with how many
    /// there are of it: arrays for windows and unused address space, records, tables, the array of
    /// owned ranges. Records are among it if `has_pieces`.
    const fn first_metadata(has_pieces: bool) -> [(Need, usize); 9] {
        let has_wide = has_pieces && Records::<M>::HAS_WIDE;
        let narrow = RecordKind::Narrow.lines_of_piece::<M>() * LINE_BYTES;
        let wide = RecordKind::Wide.lines_of_piece::<M>() * LINE_BYTES;
        let ranges = Need::of::<[Slot; FIRST_CAPACITY]>();
        let [table, map] = ArenaIndex::<M>::FIRST_NEEDS;
        let [nodes, bits] = FreePages::<M>::FIRST_NEEDS;
        [
            (ranges, 2),
            (Need::of_bytes(narrow), has_pieces as usize),
            (Need::of_bytes(wide), has_wide as usize),
            (table, 1),
            (map, 1),
            BitmapMemory::<K>::first_need::<M>(),
            nodes,
            bits,
            (ranges, 1),
        ]
    }

    const WITH_RECORDS: [(Need, usize); 9] = Self::first_metadata(true);
    const WITHOUT_RECORDS: [(Need, usize); 9] = Self::first_metadata(false);

    /// The pages of a span of the smallest class, a page, and the pages of records.
    fn first_pages(is_apart: bool) -> usize {
        let table = table(M::GEOMETRY.page_shift);
        let span = table.and_then(|table| Some(table.pages(table.class_for(1, 1)?)));
        let records = if Self::has_pieces(is_apart) {
            0
        } else {
            1 + usize::from(Records::<M>::HAS_WIDE)
        };
        span.unwrap_or(1) + 1 + records
    }
}

#[cfg(test)]
mod tests {
    use archipelago_sim::{Hosted, Plain32, Sim, Small};

    use super::{Need, PageHeap};

    #[test]
    fn first_records_are_needed_in_metadata_memory_or_not_at_all() {
        // A kilobyte of narrow ones, and two wide ones.
        let plain = PageHeap::<Sim<Plain32>, Hosted>::first_metadata;
        let records = |metadata: [(Need, usize); 9]| [metadata[1], metadata[2]];
        let [narrow, wide] = records(plain(true)).map(|(need, count)| (need.bytes, count));
        assert_eq!([narrow, wide], [(1024, 1), (384, 1)]);
        assert!(records(plain(false)).iter().all(|(_, count)| *count == 0));
        let [_, (_, wide)] = records(PageHeap::<Sim<Small>, Hosted>::first_metadata(true));
        assert_eq!(wide, 0, "no span there needs one");
    }
}
