//! The address space that the first metadata of a heap takes, by arithmetic alone.

use super::metadata::Metadata;
use super::source::LINE_BYTES;
use crate::base::{PageRun, Shape};

/// A piece of metadata that takes address space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// The length in bytes.
    pub(crate) bytes: usize,
    /// An alignment, a power of two.
    pub(crate) align: usize,
    /// The piece is whole pages, of which a part is committed.
    pub(crate) is_block: bool,
}

impl Need {
    /// The address space that [`Source::take`] takes for an entry of `T`.
    pub(crate) const fn of<T>() -> Self {
        Self {
            bytes: size_of::<T>(),
            align: align_of::<T>(),
            is_block: false,
        }
    }

    /// So many bytes, aligned as all metadata is.
    pub(crate) const fn of_bytes(bytes: usize) -> Self {
        Self {
            bytes,
            align: 1,
            is_block: false,
        }
    }
}

/// Metadata memory of a heap to be, from which pieces are taken by arithmetic alone.
///
/// Pieces are taken one by one, each by a call that has ended when the next is taken: `init` is the
/// deepest call of a kernel that is not optimised, and iterators of iterators would make it deeper.
#[derive(Debug)]
pub(crate) struct Trial(Metadata);

impl Trial {
    /// Metadata at home in `room`, with extents of so many bytes, of which nothing is taken.
    pub(crate) fn at(room: PageRun, extent_bytes: usize) -> Self {
        let mut metadata = Metadata::new();
        metadata.set_extent_bytes(extent_bytes);
        metadata.set_room(room);
        Self(metadata)
    }

    /// Takes the address space of `count` pieces in turn. Returns whether all of them fit.
    pub(crate) fn take<S: Shape>(&mut self, need: Need, count: usize) -> bool {
        for _ in 0..count {
            if self.take_one::<S>(need).is_none() {
                return false;
            }
        }
        true
    }

    fn take_one<S: Shape>(&mut self, need: Need) -> Option<()> {
        let metadata = &mut self.0;
        let page_bytes = S::GEOMETRY.page_bytes();
        let bytes = need.bytes.next_multiple_of(LINE_BYTES);
        let align = need.align.max(LINE_BYTES);
        if need.is_block || !metadata.is_small::<S>(bytes) {
            let whole = bytes.next_multiple_of(page_bytes);
            metadata
                .take_address::<S>(whole, align.max(page_bytes))
                .ok()?;
        } else {
            let start = metadata.place::<S>(bytes, align).ok()?;
            let extent = &mut metadata.extent;
            extent.bump = start + bytes;
            extent.ready = extent.ready.max(extent.bump.next_multiple_of(page_bytes));
        }
        Some(())
    }

    /// Metadata goes on in `room`, as [`Windows`](super::Windows) let it.
    pub(crate) fn go_on_in(&mut self, room: PageRun) {
        self.0.set_room(room);
    }

    /// The address space for extents that is left.
    pub(super) const fn room(&self) -> PageRun {
        self.0.room()
    }
}
