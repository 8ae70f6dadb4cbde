//! Heap bitmap for runs: pages become its parts, and go back.
//!
//! A run for scannable objects is allocated like any other, and then covered, a part at a time.
//! The page of a part is a run like any other, too, and becomes the part inside the gate. So the
//! bitmap finds memory wherever an object would, and a long run is covered in as many steps as it
//! has parts. If one is refused, all pages are free again, and no more of them are Ready than were.

use archipelago_api::{Kernel, Machine};

use super::bitmap::BitmapMemory;
use super::page_heap::{Online, PageHeap};
use super::reclaim::Reclaim;
use super::run::{ReadyRun, Want};
use crate::base::PageRun;
use crate::base::invariant::expect_invariant;
use crate::region::Cause;
use crate::span::Scan;

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// The run that `make` allocates, with the heap bitmap that is to cover it.
    ///
    /// # Errors
    /// The error of `make`, or why there is no bitmap. The run is free again, and if memory can be
    /// taken back, no more of it is free than before.
    // In line: without a heap bitmap this is `make`.
    #[inline(always)]
    pub(super) fn covered(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
        make: impl FnOnce() -> Result<ReadyRun, Cause>,
    ) -> Result<ReadyRun, Cause> {
        if !want.scan.is_yes() {
            return make();
        }
        let before = self.scavengeable_pages();
        match make() {
            Ok(ready) => self.cover(online, want.scan, (ready, before), user),
            Err(cause) => Err(Self::with_parts(cause, want.pages, 0)),
        }
    }

    /// Covers a run that was just allocated, when `before` pages could be scavenged.
    ///
    /// # Errors
    /// Why there is no bitmap. The run is free again, and if memory can be taken back, no more of
    /// it is free than before.
    #[inline(never)]
    fn cover(
        &self,
        online: &Online<M>,
        scan: Scan,
        (ready, before): (ReadyRun, usize),
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        if let Err(cause) = self.make_parts(online, scan, ready.run(), user) {
            self.free(ready);
            self.drop_surplus(online, before, user);
            return Err(cause);
        }
        Ok(ready)
    }

    /// Makes the parts that cover `run`, a run of the caller's, and claims them.
    ///
    /// # Errors
    /// Why there is no bitmap, with the figures of the run. None is claimed, and what was made is
    /// idle.
    fn make_parts(
        &self,
        online: &Online<M>,
        scan: Scan,
        run: PageRun,
        user: &impl Reclaim<M>,
    ) -> Result<(), Cause> {
        if self.claim_bits(scan, run) {
            return Ok(());
        }
        let mut made = 0;
        for piece in BitmapMemory::<K>::pieces::<M>(run) {
            match self.cover_piece(online, scan, (piece, run.count), user) {
                Ok(is_new) => made += usize::from(is_new),
                Err(cause) => {
                    let done = PageRun::between(run.first, piece.first);
                    // SAFETY: no object is in the run, which was just allocated.
                    unsafe { self.release_bits(scan, done) };
                    let above = run.end().0 - piece.end().0;
                    return Err(Self::with_parts(cause, above, run.count + made));
                }
            }
            if Self::is_long(run.count) {
                user.between_steps(online);
            }
        }
        Ok(())
    }

    /// The refusal of a page as one of a request that had `had` pages, and needed the parts that
    /// cover `pages` pages, too.
    fn with_parts(cause: Cause, pages: usize, had: usize) -> Cause {
        let bytes = |pages: usize| pages << M::GEOMETRY.page_shift;
        let needed = had + BitmapMemory::<K>::fewest_parts::<M>(pages);
        cause.beside(bytes(needed), bytes(had), M::GEOMETRY.granule_bytes())
    }

    /// Claims the part that covers `piece` of a run of so many pages; makes it if it is absent, and
    /// returns whether it was.
    ///
    /// # Errors
    /// Why there is no page, or no entry. The heap is as it was.
    fn cover_piece(
        &self,
        online: &Online<M>,
        scan: Scan,
        (piece, pages): (PageRun, usize),
        user: &impl Reclaim<M>,
    ) -> Result<bool, Cause> {
        if self.claim_bits(scan, piece) {
            return Ok(false);
        }
        let mut page = Some(self.part_page(online, pages, user)?);
        let covered = self.with_machine(online, user, |space, windows| {
            // Another thread may have made it.
            if self.claim_bits(scan, piece) {
                return Ok(());
            }
            windows.with_metadata::<M, K, _>(|windows| {
                let mut source = windows.source(space);
                self.bitmap.ensure(&self.index, &mut source, piece)
            })?;
            if let Some(page) = page.take() {
                let (machine, ledger) = (&online.machine, &self.ledger);
                self.bitmap.add(&self.index, machine, ledger, piece, page);
            }
            self.claim_committed(scan, piece);
            Ok(())
        });
        let is_new = page.is_none();
        if let Some(page) = page {
            self.free(page);
        }
        covered.map(|()| is_new)
    }

    /// Claims the bitmap that covers `run`, which was made Ready since the caller entered the gate.
    pub(super) fn claim_committed(&self, scan: Scan, run: PageRun) {
        let claimed = self.claim_bits(scan, run).then_some(()).ok_or(());
        expect_invariant::<K, _, _>(claimed, "bitmap that was made is ready");
    }

    /// Allocates the page of a part for a run of `pages` pages: the highest that is Ready. If none
    /// is, the highest that is free for a long run, so that the pages after it stay free for it to
    /// grow into. A short run is a span, or moves when it grows, and its part stays close to it.
    fn part_page(
        &self,
        online: &Online<M>,
        pages: usize,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let mut may_be_highest = true;
        if M::DECOMMITS {
            if let Some(ready) = self.pool.take_highest(&self.ledger) {
                return Ok(ready);
            }
            may_be_highest = BitmapMemory::<K>::fewest_parts::<M>(pages) > 1;
        }
        if may_be_highest {
            if let Some(found) = self.pool.find_highest(&self.ledger) {
                return self.commit_found(online, found, user);
            }
        }
        self.alloc_or_grow(online, Want::pages(1), user)
    }

    /// Frees idle parts, and takes the memory of free pages until no more than `before` have any.
    #[cold]
    fn drop_surplus(&self, online: &Online<M>, before: usize, user: &impl Reclaim<M>) {
        self.free_idle_parts(online);
        let surplus = self.scavengeable_pages().saturating_sub(before);
        if M::DECOMMITS && surplus > 0 {
            // Where the machine is busy, memory stays for the next request.
            let _ = self.scavenge(online, user, surplus);
        }
    }
}
