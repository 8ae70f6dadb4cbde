//! One table in a frame, while its entries are read and written.

use core::ops::Range;
use core::ptr::NonNull;

use archipelago_api::PhysAddr;

use crate::entry::{EntryFormat, PageState};
use crate::{Level, PagingMode};

type Word<M, P> = <<M as PagingMode<P>>::Format as EntryFormat>::Word;

/// A table of any level below the root. When it is dropped, the paging mode hears which entries
/// were written.
///
/// Entries are read and written one word at a time, by volatile accesses, because CPUs walk the
/// table meanwhile.
pub(crate) struct Table<'a, M: PagingMode<P>, P> {
    tables: &'a P,
    /// Invariant: `level.entries()` entries from here are a table's, and nothing else changes them
    /// during `'a`.
    entries: NonNull<Word<M, P>>,
    level: Level,
    /// The indices of written entries, and of those between them.
    written: Option<Range<usize>>,
}

impl<'a, M: PagingMode<P>, P> Table<'a, M, P> {
    /// The table of `level` in `frame`.
    ///
    /// # Safety
    /// - `tables` link the frame as a table of this level; or it belongs to the caller, who is
    ///   about to link it or has unlinked it.
    /// - The caller has borrowed `tables` mutably.
    pub(crate) unsafe fn new(tables: &'a P, frame: PhysAddr, level: Level) -> Self {
        Self {
            tables,
            // SAFETY: the caller promises that the frame is linked, or the caller's own.
            entries: unsafe { M::memory(tables, frame) }.cast(),
            level,
            written: None,
        }
    }

    /// The state that entry `index` stands for.
    pub(crate) fn read(&self, index: usize) -> PageState {
        // SAFETY: `entry` returns a word of the table, by the invariant valid for reads.
        M::Format::read(unsafe { self.entry(index).read_volatile() })
    }

    /// Writes entry `index` for `state`.
    pub(crate) fn write(&mut self, index: usize, state: PageState) {
        // SAFETY: `entry` returns a word of the table, which by the invariant nothing else changes.
        unsafe { self.entry(index).write_volatile(M::Format::write(state)) };
        let written = self.written.take().unwrap_or(index..index);
        self.written = Some(written.start.min(index)..written.end.max(index + 1));
    }

    /// Makes every entry Empty, whatever the frame held.
    pub(crate) fn clear(&mut self) {
        (0..self.level.entries()).for_each(|index| self.write(index, PageState::Empty));
    }

    /// Whether every entry is Empty.
    pub(crate) fn is_empty(&self) -> bool {
        (0..self.level.entries()).all(|index| self.read(index) == PageState::Empty)
    }

    fn entry(&self, index: usize) -> NonNull<Word<M, P>> {
        debug_assert!(index < self.level.entries(), "the entry is in the table");
        // SAFETY: the mask leaves an index below the entries of the table.
        unsafe { self.entries.add(index & (self.level.entries() - 1)) }
    }
}

impl<M: PagingMode<P>, P> Drop for Table<'_, M, P> {
    fn drop(&mut self) {
        if let Some(written) = self.written.take() {
            let first = self.entry(written.start);
            // SAFETY: the entries are the table's, whose memory `new` got from the mode.
            unsafe { M::written(self.tables, first, written.len()) };
        }
    }
}
