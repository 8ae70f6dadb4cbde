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

/// The memory that a heap had when a request began.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// Bytes that were Ready.
    mapped_ready: usize,
    /// Pages whose memory scavenging could have given back.
    scavengeable: usize,
}

impl<M: Machine, K: Kernel> PageHeap<M, K> {
    /// The run of `want` that `make` allocates, with the heap bitmap that is to cover it. `before`
    /// is the memory that the heap had before the request.
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
        before: Memory,
        user: &impl Reclaim<M>,
        make: impl FnOnce() -> Result<ReadyRun, Cause>,
    ) -> Result<ReadyRun, Cause> {
        let ready = make()?;
        if !want.scan.is_yes() {
            return Ok(ready);
        }
        self.cover(online, want, (ready, before), user)
    }

    /// Allocates the run of `want`. A long one is allocated with room for the parts that cover it,
    /// which is free then: so a request for more than there is is refused before metadata is made
    /// for the run.
    ///
    /// # Errors
    /// The step that refused; the heap is as it was.
    #[inline(always)]
    pub(super) fn alloc_with_room(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        if want.scan.is_yes() && Self::is_long(want.pages) {
            let parts = BitmapMemory::<K>::fewest_parts::<M>(want.pages);
            let pages = want.pages + parts;
            match self.alloc_or_grow(online, Want { pages, ..want }, user) {
                Ok(all) => return Ok(self.free_room(want, all)),
                // The parts may find room elsewhere.
                Err(Cause::Window { .. } | Cause::MetadataWindow { .. }) => {}
                Err(cause) => return Err(cause),
            }
        }
        self.alloc_or_grow(online, want, user)
    }

    /// Frees the room that a run has beside it: below it, so that it can grow, unless it is
    /// aligned.
    #[cold]
    fn free_room(&self, want: Want, all: ReadyRun) -> ReadyRun {
        let room = all.run().count - want.pages;
        let (run, room) = if want.align_pages > 1 {
            all.split_at(want.pages)
        } else {
            let (room, run) = all.split_at(room);
            (run, room)
        };
        self.free(room);
        run
    }

    /// Covers a run that was just allocated.
    ///
    /// # Errors
    /// Why there is no bitmap, with the figures of the request. The run is free again, and if
    /// memory can be taken back, no more of it is free than before.
    #[inline(never)]
    fn cover(
        &self,
        online: &Online<M>,
        want: Want,
        (ready, before): (ReadyRun, Memory),
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        let run = ready.run();
        if self.claim_bits(want.scan, run) {
            return Ok(ready);
        }
        for piece in BitmapMemory::<K>::pieces::<M>(run) {
            if let Err(cause) = self.cover_piece(online, want, piece, user) {
                let done = PageRun::between(run.first, piece.first);
                // SAFETY: no object is in the run, which was just allocated.
                unsafe { self.release_bits(want.scan, done) };
                let above = run.end().0 - piece.end().0;
                let missing = BitmapMemory::<K>::fewest_parts::<M>(above);
                let refused = self.refused_part(want, cause, missing, before);
                self.free(ready);
                self.drop_surplus(online, want.scan, before, user);
                return Err(refused);
            }
            if Self::is_long(run.count) {
                user.between_steps(online);
            }
        }
        Ok(ready)
    }

    /// The refusal of a part's page as one of the request, which needs `missing` more.
    fn refused_part(&self, want: Want, cause: Cause, missing: usize, before: Memory) -> Cause {
        match cause {
            Cause::Window { .. } | Cause::MetadataWindow { .. } => {
                want.has_no_window::<M>(want.pages.saturating_sub(missing + 1))
            }
            cause => {
                let had = self
                    .ledger
                    .mapped_ready()
                    .saturating_sub(before.mapped_ready);
                let more = missing << M::GEOMETRY.page_shift;
                cause.beside(had + more, had, M::GEOMETRY.granule_bytes())
            }
        }
    }

    /// Claims the part that covers `piece` of the run of `want`; makes it if it is absent.
    ///
    /// # Errors
    /// Why there is no page, or no entry. The heap is as it was.
    fn cover_piece(
        &self,
        online: &Online<M>,
        want: Want,
        piece: PageRun,
        user: &impl Reclaim<M>,
    ) -> Result<(), Cause> {
        let scan = want.scan;
        if self.claim_bits(scan, piece) {
            return Ok(());
        }
        let mut page = Some(self.part_page(online, want, user)?);
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
        if let Some(page) = page {
            self.free(page);
        }
        covered
    }

    /// Claims the bitmap that covers `run`, which was made Ready since the caller entered the gate.
    fn claim_committed(&self, scan: Scan, run: PageRun) {
        let claimed = self.claim_bits(scan, run).then_some(()).ok_or(());
        expect_invariant::<K, _, _>(claimed, "bitmap that was made is ready");
    }

    /// Allocates the page of a part for the run of `want`: the highest that is free for a run that
    /// may grow, so that the pages after it stay free. A span stays as it is, and its part lies as
    /// low as all that is allocated.
    fn part_page(
        &self,
        online: &Online<M>,
        want: Want,
        user: &impl Reclaim<M>,
    ) -> Result<ReadyRun, Cause> {
        if want.grows {
            if let Some(found) = self.pool.find_highest(&self.ledger) {
                return self.commit_found(online, found, user);
            }
        }
        self.alloc_or_grow(online, Want::pages(1), user)
    }

    /// Frees idle parts, and takes the memory of as many free pages as the heap has more than
    /// `before`.
    #[cold]
    fn drop_surplus(&self, online: &Online<M>, scan: Scan, before: Memory, user: &impl Reclaim<M>) {
        self.free_idle_parts(online);
        if !M::DECOMMITS {
            return;
        }
        let after = self.memory(scan);
        let ready =
            after.mapped_ready.saturating_sub(before.mapped_ready) >> M::GEOMETRY.page_shift;
        let surplus = after.scavengeable.saturating_sub(before.scavengeable);
        // Where the machine is busy, memory stays for the next request.
        let _ = self.scavenge(online, user, surplus.min(ready));
    }

    /// The memory that the heap has; nothing, which takes no time, before a run without bitmap.
    #[inline(always)]
    pub(super) fn memory(&self, scan: Scan) -> Memory {
        if !scan.is_yes() {
            return Memory {
                mapped_ready: 0,
                scavengeable: 0,
            };
        }
        Memory {
            mapped_ready: self.ledger.mapped_ready(),
            scavengeable: self.scavengeable_pages(),
        }
    }
}
