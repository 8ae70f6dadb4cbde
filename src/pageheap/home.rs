//! The choice of the window that metadata comes from, by arithmetic alone.

use archipelago_api::{Kernel, Machine};

use super::bitmap::BitmapMemory;
use super::page_heap::PageHeap;
use super::window::{InitError, Window, WindowRule};
use crate::arena::ArenaIndex;
use crate::page::FreePages;
use crate::region::ranges::{FIRST_CAPACITY, Slot};
use crate::region::windows::Home;
use crate::region::{LINE_BYTES, Need, Trial, Windows};
use crate::span::{RecordKind, Records, table};

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// The window for metadata, or else the first that has room for the first metadata and for
    /// objects.
    ///
    /// # Errors
    /// [`WindowRule::NoRoomForMetadata`]: no window has.
    pub(super) fn choose_home(given: &[Window]) -> Result<Window, InitError> {
        let set_aside = given.iter().find(|window| window.for_metadata);
        let first = set_aside.unwrap_or(&given[0]);
        // Where the window for metadata is too small, metadata goes on in the others.
        for window in set_aside.into_iter().chain(given) {
            if Self::could_serve(given, *window) {
                return Ok(*set_aside.unwrap_or(window));
            }
        }
        let mut larger = *first;
        let granule = M::GEOMETRY.granule_bytes();
        while larger.pages::<M>().is_ok() && !Self::could_serve(given, larger) {
            larger.bytes = larger.bytes.saturating_add(granule);
        }
        let smallest = larger.bytes;
        let (window, rule) = (*first, WindowRule::NoRoomForMetadata { smallest });
        Err(InitError::Window { window, rule })
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
    /// windows given.
    fn could_serve(given: &[Window], home: Window) -> bool {
        let Ok(at) = Self::home_at(home) else {
            return false;
        };
        let mut others = 0;
        for window in given {
            let is_other = window.base != home.base && !window.for_metadata;
            match window.pages::<M>() {
                Ok(pages) if is_other => others += pages.count,
                _ => {}
            }
        }
        let mut trial = Trial::at(at.room, at.extent_bytes);
        Self::take_first(&mut trial, Self::has_pieces(home))
            && Windows::could_serve::<M>(&at, others, &trial, Self::first_pages(home))
    }

    /// Whether the first records lie in metadata memory.
    const fn has_pieces(home: Window) -> bool {
        M::DECOMMITS || home.for_metadata
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

    /// Takes the first metadata. Returns whether all of it fits.
    fn take_first(trial: &mut Trial, has_pieces: bool) -> bool {
        let needs = if has_pieces {
            &Self::WITH_RECORDS
        } else {
            &Self::WITHOUT_RECORDS
        };
        for (need, count) in needs {
            if !trial.take::<M>(*need, *count) {
                return false;
            }
        }
        true
    }

    /// The pages of a span of the smallest class, a page, and the pages of records.
    fn first_pages(home: Window) -> usize {
        let table = table(M::GEOMETRY.page_shift);
        let span = table.and_then(|table| Some(table.pages(table.class_for(1, 1)?)));
        let records = if Self::has_pieces(home) {
            0
        } else {
            1 + usize::from(Records::<M>::HAS_WIDE)
        };
        span.unwrap_or(1) + 1 + records
    }
}
