//! Runs of pages that are Ready: found, committed, or grown.

use archipelago_api::{AllocFlags, Contents, Fault, Kernel, Machine, Report, VirtAddr};
use core::cell::Cell;

use super::gate::{Closed, Pass};
use super::growth::Growth;
use super::{Heap, Opened, PageSide, certain};
use crate::base::{PageIdx, PageRun};
use crate::page::{BLOCK_PAGES, Taken};
use crate::region::{Cause, Purpose, Space};
use crate::span::Scan;

/// Runs shorter than this come from the page cache: a quarter of its pages.
const CACHED_RUN: usize = 16;

/// A run that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) pages: usize,
    /// The first page is a multiple of this, a power of two.
    pub(crate) align_pages: usize,
    /// For objects that may hold pointers the heap bitmap is to be Ready too.
    pub(crate) scan: Scan,
}

/// A run that is allocated, Ready, and charged to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadyRun {
    pub(crate) run: PageRun,
    /// Every byte is known to be zero.
    pub(crate) zeroed: bool,
}

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// Whether single pages come from a page cache: only where it is less than a chunk, which is
    /// all that is searched without one.
    pub(super) const CACHES_PAGES: bool = M::GEOMETRY.chunk_pages() > BLOCK_PAGES;

    /// A run for an ordinary request.
    ///
    /// # Errors
    /// As [`obtain`](Self::obtain).
    pub(super) fn obtain_ordinary(
        &self,
        opened: &Opened<M>,
        want: Want,
    ) -> Result<ReadyRun, Cause> {
        match self.find(want) {
            Some(taken) if Self::is_ready(taken) => self.obtain_bits(opened, want.scan, taken.run),
            Some(taken) => self.commit_found(opened, want.scan, taken.run),
            None => self.with_machine(opened, |space, growth| {
                self.find_or_grow(opened, space, growth, want)
            }),
        }
    }

    /// A run for a request with `flags`.
    ///
    /// # Errors
    /// Which step refused; the heap is as it was.
    pub(super) fn obtain(
        &self,
        opened: &Opened<M>,
        want: Want,
        flags: AllocFlags,
    ) -> Result<ReadyRun, Cause> {
        if flags.contains(AllocFlags::NO_GROW) {
            return self.obtain_ready(want, flags);
        }
        let mut answer = self.obtain_ordinary(opened, want);
        if let Err(Cause::Window { .. }) = answer {
            // Others may have freed so much while it grew that there was nothing to grow for.
            answer = self.obtain_ordinary(opened, want);
        }
        match answer {
            // Interrupts are masked and the machine is in use: what is Ready has to do.
            Err(Cause::Busy) => self.obtain_ready(want, AllocFlags::ATOMIC),
            answer => answer,
        }
    }

    /// Runs `work` inside the growth gate. Where it is refused for want of memory that free pages
    /// have, they are scavenged and it runs again.
    ///
    /// # Errors
    /// What `work` answers, or [`Cause::Busy`].
    pub(super) fn with_machine<R>(
        &self,
        opened: &Opened<M>,
        mut work: impl FnMut(&Space<'_, M>, &mut Growth) -> Result<R, Cause>,
    ) -> Result<R, Cause> {
        let mut pass = self.enter()?;
        let unsettled = Cell::new(pass.unsettled.take());
        let patience = pass.patience;
        let space = Space::new::<K>(&opened.machine, &self.ledger, patience, &unsettled);
        let answer = match space {
            Ok(space) => {
                let mut refused = None;
                loop {
                    match work(&space, &mut pass) {
                        Err(cause)
                            if M::DECOMMITS
                                && self.is_made_up_for(
                                    opened,
                                    &space,
                                    &pass,
                                    cause,
                                    &mut refused,
                                ) => {}
                        answer => break answer,
                    }
                }
            }
            Err(archipelago_api::Busy) => Err(Cause::Busy),
        };
        pass.unsettled = unsettled.take();
        answer
    }

    /// Enters the growth gate.
    fn enter(&self) -> Result<Pass<'_, Growth>, Cause> {
        match self.gate.enter::<K>() {
            Ok(pass) => Ok(pass),
            Err(Closed::Busy) => Err(Cause::Busy),
            Err(Closed::Inside) => self.machine_allocates(),
        }
    }

    /// Scavenges against `cause`, for which work inside the gate was refused; `false` if that does
    /// not help, as when the same was `refused` before, or the machine has something to settle.
    #[cold]
    fn is_made_up_for(
        &self,
        opened: &Opened<M>,
        space: &Space<'_, M>,
        growth: &Growth,
        cause: Cause,
        refused: &mut Option<(Cause, usize)>,
    ) -> bool {
        // The same refusal although nothing was made since: more of the same would not help either.
        let is_stuck = *refused == Some((cause, self.bytes_in_use()));
        if is_stuck || space.settle().is_err() || !self.make_up_for(opened, space, growth, cause) {
            return false;
        }
        *refused = Some((cause, self.bytes_in_use()));
        true
    }

    /// Ready bytes that are not free, metadata included.
    fn bytes_in_use(&self) -> usize {
        let free = self.ledger.of(Purpose::Free);
        self.ledger.mapped_ready().saturating_sub(free)
    }

    /// Stops the machine, because its mapper or frame source allocated without ATOMIC.
    pub(super) fn machine_allocates(&self) -> ! {
        K::stop(&Report {
            fault: Fault::MachineAllocates,
            address: VirtAddr::new(0),
            layout: None,
            span: None,
        })
    }

    /// Looks for free pages, for short runs in the page cache first. Pages that are Ready are
    /// charged; of the others, some are scavenged, and their bits are set.
    fn find(&self, want: Want) -> Option<Taken> {
        let mut page = self.page.lock();
        let cached = Self::CACHES_PAGES && want.align_pages == 1 && want.pages < CACHED_RUN;
        let taken = if cached {
            self.find_cached(&mut page, want.pages)
        } else {
            self.find_past_cache(&mut page, want)
        };
        self.charge_found(taken)
    }

    /// A run that is not the page cache's.
    fn find_past_cache(&self, page: &mut PageSide, want: Want) -> Option<Taken> {
        self.pages
            .alloc_aligned(&mut page.pages, want.pages, want.align_pages)
    }

    /// Charges pages that were just taken, under the page lock, if they are Ready.
    fn charge_found(&self, taken: Option<Taken>) -> Option<Taken> {
        let taken = taken?;
        if Self::is_ready(taken) {
            self.ledger
                .transfer(Purpose::Free, Purpose::Objects, taken.run.bytes::<M>());
        }
        Some(taken)
    }

    /// Whether pages that were taken have memory, all of them.
    pub(super) const fn is_ready(taken: Taken) -> bool {
        !M::DECOMMITS || taken.scavenged == 0
    }

    /// A short run out of the page cache, which is filled when it is empty; past it if it has none
    /// that long.
    fn find_cached(&self, page: &mut PageSide, pages: usize) -> Option<Taken> {
        if page.cache.is_empty() {
            page.cache = self.pages.fill_cache(&mut page.pages)?;
        }
        let cached = page.cache.alloc(pages);
        cached.or_else(|| self.pages.alloc(&mut page.pages, pages))
    }

    /// Makes a run that was found Ready, or frees it again.
    pub(super) fn commit_found(
        &self,
        opened: &Opened<M>,
        scan: Scan,
        run: PageRun,
    ) -> Result<ReadyRun, Cause> {
        let committed = self.with_machine(opened, |space, growth| {
            self.with_bits(space, growth, scan, run, || {
                self.commit_scavenged(space, run)
            })
        });
        self.settle(run, committed)
    }

    /// Hands out a run whose commit succeeded; frees one whose commit failed, with its scavenged
    /// bits as they are.
    pub(super) fn settle(
        &self,
        run: PageRun,
        committed: Result<bool, Cause>,
    ) -> Result<ReadyRun, Cause> {
        let mut page = self.page.lock();
        match committed {
            Ok(zeroed) => {
                let made = self.pages.made_ready(&mut page.pages, run);
                certain::<K, _, _>(made, "a run in transit is taken");
                Ok(ReadyRun { run, zeroed })
            }
            Err(cause) => {
                let freed = self.pages.free(&mut page.pages, run);
                certain::<K, _, _>(freed, "a run in transit is taken");
                Err(cause)
            }
        }
    }

    /// Makes the scavenged pages of an allocated run Ready and charges the whole run to objects.
    /// Answers whether all of it is known to be zero. The scavenged bits stay.
    ///
    /// # Errors
    /// The pages that were scavenged are so again. The figures are those of the whole run: what is
    /// made up for is enough for all of its holes.
    pub(super) fn commit_scavenged(
        &self,
        space: &Space<'_, M>,
        run: PageRun,
    ) -> Result<bool, Cause> {
        let mut zeroed = true;
        let mut scavenged = 0;
        for part in self.pages.scavenged_runs(run) {
            let Some(range) = part.range::<M>() else {
                continue;
            };
            match space.commit(range, Purpose::Objects) {
                Ok(contents) => zeroed &= contents == Contents::Zeroed,
                Err(cause) => {
                    let bytes = |pages: usize| pages << M::GEOMETRY.page_shift;
                    let all = bytes(self.pages.count_scavenged(run));
                    self.decommit_scavenged(space, PageRun::between(run.first, part.first));
                    let granule = M::GEOMETRY.granule_bytes();
                    return Err(cause.for_all(all, bytes(scavenged), granule));
                }
            }
            scavenged += part.count;
        }
        let before = run.bytes::<M>() - (scavenged << M::GEOMETRY.page_shift);
        self.ledger
            .transfer(Purpose::Free, Purpose::Objects, before);
        Ok(zeroed && scavenged == run.count)
    }

    /// Undoes [`commit_scavenged`](Self::commit_scavenged): the run is charged as it was before.
    pub(super) fn uncommit_scavenged(&self, space: &Space<'_, M>, run: PageRun) {
        let scavenged: usize = self.pages.scavenged_runs(run).map(|part| part.count).sum();
        let before = run.bytes::<M>() - (scavenged << M::GEOMETRY.page_shift);
        self.ledger
            .transfer(Purpose::Objects, Purpose::Free, before);
        self.decommit_scavenged(space, run);
    }

    /// Takes the frames of the scavenged pages of `run` away again. Where the machine has become
    /// busy, they stay Ready and become free pages like any other.
    fn decommit_scavenged(&self, space: &Space<'_, M>, run: PageRun) {
        for part in self.pages.scavenged_runs(run) {
            let Some(range) = part.range::<M>() else {
                continue;
            };
            if space.decommit(range, Purpose::Objects).is_err() {
                self.ledger
                    .transfer(Purpose::Objects, Purpose::Free, part.bytes::<M>());
                let made = self.pages.made_ready(&mut self.page.lock().pages, part);
                certain::<K, _, _>(made, "a run in transit is taken");
            }
        }
    }

    /// Inside the gate: what was freed or grown while the caller waited, then what was kept back,
    /// then growth.
    fn find_or_grow(
        &self,
        opened: &Opened<M>,
        space: &Space<'_, M>,
        growth: &mut Growth,
        want: Want,
    ) -> Result<ReadyRun, Cause> {
        let mut found = self.find(want);
        if found.is_none() {
            self.return_what_is_kept(opened);
            // Growth joins free pages below a piece with it: they must not be back in the cache by
            // then.
            let mut page = self.page.lock();
            found = self.charge_found(self.find_past_cache(&mut page, want));
        }
        match found {
            Some(taken) if Self::is_ready(taken) => {
                self.add_bits(space, growth, want.scan, taken.run)
            }
            Some(Taken { run, .. }) => {
                let committed = self.with_bits(space, growth, want.scan, run, || {
                    self.commit_scavenged(space, run)
                });
                self.settle(run, committed)
            }
            None => self.grow(space, growth, want),
        }
    }

    /// Returns spans without live slots, and the page cache, to the free pages.
    pub(super) fn return_what_is_kept(&self, opened: &Opened<M>) {
        loop {
            // Freed under the central lock, as everywhere: until its entry is gone, the index names
            // a record that is in the pool.
            let mut central = self.central.lock();
            match central.reclaim(opened.records()) {
                Some(run) => {
                    #[cfg(feature = "heap-bits")]
                    self.release_bits(&mut central, run);
                    self.free_run(run);
                }
                None => break,
            }
        }
        self.flush_page_cache(&mut self.page.lock());
    }

    /// Frees the pages that the page cache still holds.
    pub(super) fn flush_page_cache(&self, page: &mut PageSide) {
        if Self::CACHES_PAGES {
            self.pages.flush_cache(&mut page.pages, &mut page.cache);
        }
    }

    /// Frees the pages of a span, which stay Ready. The caller holds the central lock.
    pub(super) fn free_run(&self, run: PageRun) {
        self.index.set(run, None);
        self.ledger
            .transfer(Purpose::Objects, Purpose::Free, run.bytes::<M>());
        let freed = self.pages.free(&mut self.page.lock().pages, run);
        certain::<K, _, _>(freed, "the pages of a span are taken");
    }
}

impl ReadyRun {
    /// A run that others have used.
    pub(super) const fn used(run: PageRun) -> Self {
        Self { run, zeroed: false }
    }
}

impl Want {
    /// A run of `pages` pages anywhere.
    pub(crate) const fn pages(pages: usize) -> Self {
        Self {
            pages,
            align_pages: 1,
            scan: Scan::NO,
        }
    }

    /// The same, for objects that may hold pointers or not.
    #[inline(always)]
    pub(crate) const fn for_scan(self, scan: Scan) -> Self {
        Self { scan, ..self }
    }

    /// Whether `page` may be the first.
    pub(crate) const fn starts_at(self, page: PageIdx) -> bool {
        page.0 & (self.align_pages - 1) == 0
    }
}
