//! The page pool, held still to be read.

use archipelago_api::{Kernel, Machine};

use super::pool::HeldPool;
#[cfg(test)]
use super::reserve::Reserve;
use crate::base::PageRun;
use crate::page::{FreePages, State};
use crate::region::ranges::Ranges;

impl<'a, M: Machine, K: Kernel> HeldPool<'a, M, K> {
    /// The pages that the heap owns.
    pub(crate) fn owned(&self) -> &Ranges {
        self.side.pages.owned()
    }

    /// The free pages and their tables.
    pub(crate) fn pages(&self) -> (&'a FreePages<M>, &State) {
        (self.pages, &self.side.pages)
    }

    /// The runs that the reserve is in.
    pub(crate) fn reserve(&self) -> impl Iterator<Item = PageRun> + '_ {
        self.side.reserve.runs()
    }

    /// Pages that the reserve is to have.
    pub(crate) fn reserve_goal(&self) -> usize {
        self.side.reserve.goal()
    }

    /// Pages that are free.
    pub(crate) fn free_pages(&self) -> usize {
        self.side.pages.free_pages()
    }

    /// Free pages that lack memory.
    pub(crate) fn scavenged_pages(&self) -> usize {
        self.side.pages.scavenged_pages()
    }
}

/// Damage for the tests of `verify`.
#[cfg(test)]
impl<M: Machine, K: Kernel> HeldPool<'_, M, K> {
    pub(crate) fn plant(&mut self) -> (&FreePages<M>, &mut State, &mut Reserve) {
        let side = &mut *self.side;
        (self.pages, &mut side.pages, &mut side.reserve)
    }
}
