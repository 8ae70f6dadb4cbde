//! The format of the heap bitmap, as far as its memory depends on it.

use archipelago_api::Geometry;

use crate::base::sync::CoreUsize;

/// Words that a unit describes.
pub(crate) const UNIT_WORDS: usize = usize::BITS as usize / 2;

/// The tables of a heap bitmap.
pub(crate) trait Tables {
    const GEOMETRY: Geometry;
    const WORD_BYTES: usize;

    fn units(&self, arena: usize, first: usize) -> &[CoreUsize];
}
