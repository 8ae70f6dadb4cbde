//! One table, while it is worked on.

use core::ptr::NonNull;

use archipelago_api::{PhysAddr, VirtAddr};

use super::{Directory, ENTRIES, Format, PAGE_BYTES};
use crate::Leaf;

/// A table, whose directory hears at the end which entries were written.
///
/// Entries are read and written one word at a time, and not cached by the compiler, since CPUs walk
/// the table meanwhile.
pub(super) struct Table<'a, D: Directory> {
    directory: &'a D,
    /// Invariant: `ENTRIES` entries from here are a table's, and nobody else changes them during
    /// `'a`.
    entries: NonNull<u32>,
    /// The first of the entries written, and one past the last.
    written: Option<(usize, usize)>,
}

impl<'a, D: Directory> Table<'a, D> {
    /// The table in `frame`.
    ///
    /// # Safety
    /// A slot of the directory links the frame, or the caller is about to link it or to free it;
    /// and the caller has borrowed the directory mutably.
    pub(super) unsafe fn new(directory: &'a D, frame: PhysAddr) -> Self {
        Self {
            directory,
            // SAFETY: the frame is a table of the directory, or was taken from the source.
            entries: unsafe { directory.memory(frame) }.cast(),
            written: None,
        }
    }

    /// What the entry of the page at `addr` says.
    pub(super) fn read(&self, addr: VirtAddr) -> Leaf {
        self.get(index(addr))
    }

    /// Writes the entry of the page at `addr`.
    pub(super) fn write(&mut self, addr: VirtAddr, leaf: Leaf) {
        self.set(index(addr), leaf);
    }

    /// Makes every entry Empty, whatever the frame held.
    pub(super) fn clear(&mut self) {
        for index in 0..ENTRIES {
            self.set(index, Leaf::Empty);
        }
    }

    /// Whether every entry is Empty.
    pub(super) fn is_empty(&self) -> bool {
        (0..ENTRIES).all(|index| self.get(index) == Leaf::Empty)
    }

    fn get(&self, index: usize) -> Leaf {
        // SAFETY: `index` is below `ENTRIES`, so this stays in the table.
        let entry = unsafe { self.entries.add(index) };
        // SAFETY: a word of the table, by the invariant.
        D::Format::read(unsafe { entry.read_volatile() })
    }

    fn set(&mut self, index: usize, leaf: Leaf) {
        // SAFETY: as in `get`.
        let entry = unsafe { self.entries.add(index) };
        // SAFETY: a word of the table, which nobody else changes now.
        unsafe { entry.write_volatile(D::Format::write(leaf)) };
        let (first, end) = self.written.unwrap_or((index, index));
        self.written = Some((first.min(index), end.max(index + 1)));
    }
}

impl<D: Directory> Drop for Table<'_, D> {
    fn drop(&mut self) {
        if let Some((first, end)) = self.written {
            // SAFETY: `first` was written, so it lies in the table.
            let at = unsafe { self.entries.add(first) };
            self.directory.written(at, end - first);
        }
    }
}

/// The number of the entry for `addr`, below `ENTRIES`.
fn index(addr: VirtAddr) -> usize {
    addr.value() / PAGE_BYTES % ENTRIES
}
