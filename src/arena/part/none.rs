//! Without a heap bitmap: an arena's words have no word for it.

/// The empty twin of the word of an arena's bitmap.
pub(in super::super) type BitmapWord = ();
