//! The pages of the reserve: added, counted and freed under the page lock.

use archipelago_api::{Kernel, Machine};

use super::pool::PagePool;
use super::run::{ReadyRun, Want};
use super::side::Side;
use crate::base::PageRun;
use crate::region::{Cause, Ledger, Purpose};

impl<M: Machine, K: Kernel> PagePool<M, K> {
    /// Keeps `pages` pages from now on. Pages above that become free.
    pub(super) fn keep_reserve(&self, ledger: &Ledger, pages: usize) {
        let mut side = self.side.lock();
        side.reserve.keep(pages);
        self.free_surplus(ledger, &mut side);
    }

    /// Pages of the run that would fill the reserve; 0 if it is full.
    pub(super) fn missing_reserve(&self) -> usize {
        self.side.lock().reserve.missing()
    }

    /// Pages in the reserve.
    pub(super) fn reserve_pages(&self) -> usize {
        self.side.lock().reserve.pages()
    }

    /// Adds a run to the reserve, and frees what the reserve does not need of it: all of it, if
    /// another CPU has filled the reserve meanwhile.
    ///
    /// # Errors
    /// The reserve is in as many runs as it can be in, and none of them is shorter. The run is
    /// free.
    pub(super) fn add_to_reserve(&self, ledger: &Ledger, run: ReadyRun) -> Result<(), Cause> {
        let run = run.record();
        let mut side = self.side.lock();
        ledger.transfer(Purpose::Objects, Purpose::Reserve, run.bytes::<M>());
        let missing = side.reserve.missing();
        let refused = match side.reserve.add(run) {
            Some(gone) => {
                self.free_reserved(ledger, &mut side, gone);
                gone.count >= run.count && missing > 0
            }
            None => false,
        };
        self.free_surplus(ledger, &mut side);
        if !refused {
            return Ok(());
        }
        Err(Want::pages(missing).has_no_window::<M>(run.count))
    }

    /// Frees what the reserve has above its goal.
    fn free_surplus(&self, ledger: &Ledger, side: &mut Side) {
        while let Some(run) = side.reserve.take_surplus() {
            self.free_reserved(ledger, side, run);
        }
    }

    /// Frees a run that was taken off the reserve.
    fn free_reserved(&self, ledger: &Ledger, side: &mut Side, run: PageRun) {
        ledger.transfer(Purpose::Reserve, Purpose::Free, run.bytes::<M>());
        self.free_taken(side, run);
    }
}
