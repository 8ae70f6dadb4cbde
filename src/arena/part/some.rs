//! A part of the heap bitmap, as the arena index names it.

use core::sync::atomic::{AtomicU32, AtomicUsize};

use crate::base::sparse::{Entry, Word};

/// The word of an arena's bitmap.
pub(in super::super) type BitmapWord = Word<Part>;

/// A part of an arena's bitmap.
#[derive(Debug)]
pub(in super::super) struct Part {
    /// Its units.
    pub(in super::super) word: Word<AtomicUsize>,
    /// A bit for each page that the part covers: it is in a scannable span.
    pub(in super::super) pages: AtomicU32,
}

// SAFETY: zero names nothing and says that no page is in a scannable span; both fields are entries.
unsafe impl Entry for Part {}
