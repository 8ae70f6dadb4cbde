//! The record of page tables that the machine made, which are the only ones that it frees.

use core::fmt::Debug;

/// A record of the tables that a machine made.
///
/// The walker asks it about tables that the root links. Tables further down belong to the machine
/// only if the entries that link them carry its mark ([`Link::Table`](crate::Link::Table)).
///
/// # Safety
/// The machine frees the tables that the record names. An implementor promises that
/// [`contains`](Self::contains) returns `true` for an index only if it was inserted and not removed
/// since.
///
/// ```
/// #[derive(Debug)]
/// struct All;
///
/// // SAFETY: …
/// unsafe impl archipelago_paging::OwnedTables for All {
/// #   const NONE: Self = Self;
/// #   fn insert(&mut self, _index: usize) {}
/// #   fn remove(&mut self, _index: usize) {}
/// #   fn contains(&self, _index: usize) -> bool { false }
///     // …
/// }
/// ```
///
/// ```compile_fail,E0200
/// #[derive(Debug)]
/// struct All;
///
/// impl archipelago_paging::OwnedTables for All {
/// #   const NONE: Self = Self;
/// #   fn insert(&mut self, _index: usize) {}
/// #   fn remove(&mut self, _index: usize) {}
/// #   fn contains(&self, _index: usize) -> bool { true }
///     // …
/// }
/// ```
pub unsafe trait OwnedTables: Debug + Send + 'static {
    /// The record of no table.
    const NONE: Self;

    /// Records that the machine made the table at entry `index` of the root.
    fn insert(&mut self, index: usize);

    /// Records that the table at entry `index` of the root is gone.
    fn remove(&mut self, index: usize);

    /// Whether the record says that the machine made the table at entry `index` of the root.
    fn contains(&self, index: usize) -> bool;
}

/// No record beside the marks that links carry.
#[derive(Clone, Copy, Debug)]
pub struct MarkedTables;

// SAFETY: the record names no table.
unsafe impl OwnedTables for MarkedTables {
    const NONE: Self = Self;

    fn insert(&mut self, _index: usize) {}

    fn remove(&mut self, _index: usize) {}

    fn contains(&self, _index: usize) -> bool {
        false
    }
}

/// Entries of a root table that [`RootSet`] has bits for.
const ENTRIES: usize = 1024;

/// A set of entries of the root, for two levels of tables whose links have no bit to spare for a
/// mark: one bit for each of up to 1,024 entries.
#[derive(Debug)]
pub struct RootSet([u32; ENTRIES / 32]);

// SAFETY: each index has a bit of its own, which is set while it is in the record.
unsafe impl OwnedTables for RootSet {
    const NONE: Self = Self([0; ENTRIES / 32]);

    fn insert(&mut self, index: usize) {
        self.0[index / 32] |= bit(index);
    }

    fn remove(&mut self, index: usize) {
        self.0[index / 32] &= !bit(index);
    }

    fn contains(&self, index: usize) -> bool {
        self.0[index / 32] & bit(index) != 0
    }
}

fn bit(index: usize) -> u32 {
    1 << (index % 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_and_go_one_by_one_up_to_the_last() {
        let mut set = RootSet::NONE;
        for index in [0, 31, 32, ENTRIES - 1] {
            assert!(!set.contains(index));
            set.insert(index);
            assert!(set.contains(index));
        }
        set.remove(31);
        assert!(!set.contains(31) && set.contains(0) && set.contains(32));
        assert!(set.contains(ENTRIES - 1) && !set.contains(ENTRIES - 2));
    }
}
