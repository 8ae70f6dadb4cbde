//! A part of the heap bitmap, as the arena index names it.

use crate::base::sparse::{Entry, Word};
use crate::base::sync::{AtomicU32, CoreUsize};

/// The word of an arena's bitmap.
pub(in super::super) type BitmapWord = Word<Part>;

/// A part of an arena's bitmap.
#[derive(Debug)]
pub(in super::super) struct Part {
    /// The units of the part.
    pub(in super::super) word: Word<CoreUsize>,
    /// A bit for each page that the part covers: it is in a scannable span.
    pub(in super::super) pages: AtomicU32,
}

// SAFETY: zero names nothing and says that no page is in a scannable span; both fields are entries.
unsafe impl Entry for Part {}
