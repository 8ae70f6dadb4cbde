//! The needs of the heap bitmap: memory that is taken back, and a share of the windows.

use archipelago_api::{Busy, Machine};

use super::ledger::{Purpose, Total};
use super::share::BitmapShare;
use super::space::Space;
use super::token::{Ready, Refused, Reserved};
use super::windows::Windows;

impl Windows {
    /// From now on growth leaves one page in `pages` to the heap bitmap.
    pub(crate) const fn leave_to_bitmap(&mut self, pages: usize) {
        self.bitmap_share = BitmapShare::one_in(pages);
    }
}

impl<M: Machine> Space<'_, M> {
    /// Ready → Reserved, taken off `purpose`: metadata memory that nothing can reach any more.
    ///
    /// # Errors
    /// The range is Ready, and charged as before.
    pub(crate) fn withdraw(
        &self,
        ready: Ready,
        purpose: Purpose,
    ) -> Result<Reserved, Refused<Ready, Busy>> {
        let range = ready.record();
        self.calls.check(range);
        // SAFETY: `fault` needs, by the invariants of the token, which is used up here:
        // - every granule Ready or Prepared: 1;
        // - nobody using it any more: 2.
        match unsafe { self.calls.machine.fault(range, self.calls.patience) } {
            Ok(()) => {
                self.calls.ledger.was_ready(purpose, range.bytes());
                self.calls
                    .ledger
                    .moved(Total::Reserved, true, range.bytes());
                // SAFETY: the whole range is Reserved now, and no token names it.
                Ok(unsafe { Reserved::assume(range) })
            }
            // SAFETY: the whole range is Ready as before, and no token names it.
            Err(why) => Err(Refused::new(unsafe { Ready::assume(range) }, why)),
        }
    }
}
