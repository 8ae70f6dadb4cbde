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
}

impl Metadata {
    /// The address space for extents that would be left after `needs` were taken in turn, or `None`
    /// if one of them does not fit.
    pub(super) fn room_after<S: Shape>(
        &self,
        needs: impl Iterator<Item = Need>,
    ) -> Option<PageRun> {
        let page_bytes = S::GEOMETRY.page_bytes();
        let mut metadata = self.clone();
        for need in needs {
            let bytes = need.bytes.next_multiple_of(LINE_BYTES);
            let align = need.align.max(LINE_BYTES);
            if need.is_block || bytes >= page_bytes {
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
        }
        Some(metadata.room())
    }
}
