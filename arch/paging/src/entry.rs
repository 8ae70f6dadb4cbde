//! The meaning of page-table entries, and the trait that writes their bits.

use archipelago_api::PhysAddr;

/// The state of a page, as its entry in a last-level table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// A page without a mapping, which the heap does not use.
    Empty,
    /// The heap's, without a frame. The entry differs from that of [`Empty`](Self::Empty), so that
    /// a table with Prepared pages never counts as empty.
    Prepared,
    /// The heap's, on its way to or from Ready: the entry names the frame and is not valid, so no
    /// CPU translates through it.
    Staged(PhysAddr),
    /// The heap's, mapped to the frame: read-write for the kernel alone, never executable.
    Ready(PhysAddr),
    /// The kernel's: anything else. The heap never changes such an entry.
    Kernel,
}

/// The effect of a visit on the entry of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Leaves the entry as it is.
    Keep,
    /// Writes the entry for this state.
    Write(PageState),
    /// Leaves the entry as it is and ends the walk.
    Stop,
}

/// The bits of page-table entries: two functions without state that are each other's inverse.
///
/// # Safety
/// The machine frees the frame that an entry names, and maps what it writes. An implementor
/// promises that:
/// - [`Word`](Self::Word) is `u32` or `u64`;
/// - [`read`](Self::read) and [`write`](Self::write) return the same for the same argument, and
///   `read` returns each state, with its frame, that `write` was given;
/// - an entry that was not written for a frame is read as one that names none, or as
///   [`PageState::Kernel`];
/// - the entry for [`PageState::Empty`] is the same as that of no other state, and in tables of
///   every level below the root it is the entry that links nothing;
/// - of the entries that the heap writes, only those of [`PageState::Ready`] are valid to the MMU;
/// - the number of a frame with zeroes in the bits below it is not valid to the MMU in tables of
///   any level. A free frame holds such a number in its first 8 bytes, and a frame that was a table
///   may hold one while a CPU still walks it.
///
/// ```
/// use archipelago_paging::{EntryFormat, PageState};
///
/// enum Swapped {}
///
/// // SAFETY: …
/// unsafe impl EntryFormat for Swapped {
/// #   type Word = u32;
/// #   fn read(word: u32) -> PageState { PageState::Kernel }
/// #   fn write(state: PageState) -> u32 { 0 }
///     // …
/// }
/// ```
///
/// ```compile_fail,E0200
/// use archipelago_paging::{EntryFormat, PageState};
///
/// enum Swapped {}
///
/// impl EntryFormat for Swapped {
/// #   type Word = u32;
/// #   fn read(word: u32) -> PageState { PageState::Kernel }
/// #   fn write(state: PageState) -> u32 { 0 }
///     // …
/// }
/// ```
pub unsafe trait EntryFormat: 'static {
    /// The integer that an entry is: `u32` or `u64`.
    type Word: Copy;

    /// The state that `word` stands for.
    fn read(word: Self::Word) -> PageState;

    /// The entry for `state`, which is not [`PageState::Kernel`].
    fn write(state: PageState) -> Self::Word;
}

/// An entry of any level but the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// No table.
    Empty,
    /// A table of the next level that can hold pages of the heap.
    Table {
        /// The frame that holds the table.
        frame: PhysAddr,
        /// Whether the entry carries the heap's mark: the heap made the table and may free it.
        /// `false` where entries have no bits for a mark; the mode's
        /// [`OwnedTables`](crate::OwnedTables) knows then.
        owned: bool,
    },
    /// A thing of the kernel's that the heap cannot use, such as a huge page.
    Kernel,
}

/// A table of any level but the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableRef {
    /// The root table.
    Root,
    /// The table in this frame, which another table links.
    Frame(PhysAddr),
}
