//! A model of the page layer: a map of pages that gives the expected results, beside the layer.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::run;
use crate::base::{PageIdx, PageRun};
use crate::page::bits::WORD;
use crate::page::state::PagesError;
use crate::page::tree::Tree;
use crate::page::{FreePages, State, Taken};
use crate::testing::{HostSource, Shaped, TestGeometry, top_up};

/// The state of an owned page in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) free: bool,
    pub(super) scavenged: bool,
}

/// The page layer and its model. Every operation is done to both and compared.
pub(super) struct Fixture<G> {
    pub(super) pages: FreePages<Shaped<G>>,
    pub(super) state: State,
    pub(super) source: HostSource,
    pub(super) model: BTreeMap<usize, Page>,
}

impl<G: TestGeometry> Fixture<G> {
    pub(super) fn new() -> Self {
        Self {
            pages: FreePages::new(),
            state: State::new(),
            source: HostSource::default(),
            model: BTreeMap::new(),
        }
    }

    /// Every invariant holds, and every page is as the model has it.
    pub(super) fn check(&self) {
        assert_eq!(self.pages.verify(&self.state), Ok(()));
        for (run, known) in self.alike() {
            let tree = &self.pages.tree;
            for piece in Tree::<Shaped<G>>::pieces(run) {
                let chunk = tree.chunk(piece.chunk).expect("owned pages have bitmaps");
                let counts =
                    [chunk.free, chunk.scavenged].map(|bits| bits.count(piece.first, piece.count));
                let all = |is: bool| if is { piece.count } else { 0 };
                let wanted = [all(known.free), all(known.scavenged)];
                assert_eq!(counts, wanted, "free and scavenged pages of {run:?}");
            }
        }
        let free = self.model.values().filter(|page| page.free);
        assert_eq!(self.state.free_pages(), free.clone().count());
        let scavenged = free.filter(|page| page.scavenged).count();
        assert_eq!(self.state.scavenged_pages(), scavenged);
        assert_eq!(self.state.owned().total_pages(), self.model.len());
    }

    /// Grows by pages that are not owned yet.
    pub(super) fn grow(&mut self, run: PageRun) {
        let ensured = self.pages.ensure(run, &mut self.source);
        ensured.expect("the source has memory");
        top_up(self.state.owned_mut(), &mut self.source);
        assert_eq!(self.pages.grow(&mut self.state, run), Ok(()));
        for page in run.first.0..run.end().0 {
            let fresh = Page {
                free: true,
                scavenged: true,
            };
            assert_eq!(self.model.insert(page, fresh), None);
        }
    }

    /// Allocates, and compares the result with the model's.
    pub(super) fn alloc(&mut self, count: usize) -> Option<Taken> {
        let wanted = self.first_fit(count, 1).map(|first| run(first, count));
        let queried = self.pages.lowest_run(&self.state, count);
        let taken = self.pages.alloc(&mut self.state, count);
        assert_eq!(queried, taken, "the query and the allocation agree");
        self.expect_taken(taken, wanted)
    }

    pub(super) fn alloc_aligned(&mut self, count: usize, align: usize) -> Option<Taken> {
        let wanted = self.first_fit(count, align).map(|first| run(first, count));
        let taken = self.pages.alloc_aligned(&mut self.state, count, align);
        if let Some(taken) = taken {
            let address = taken.run.first.address::<Shaped<G>>();
            assert_eq!((address.value() >> G::GEOMETRY.page_shift) % align, 0);
        }
        self.expect_taken(taken, wanted)
    }

    pub(super) fn take(&mut self, asked: PageRun) -> Option<Taken> {
        let wanted = (self.all(asked, |page| page.free) && asked.count > 0).then_some(asked);
        let taken = self.pages.take(&mut self.state, asked);
        self.expect_taken(taken, wanted)
    }

    pub(super) fn free(&mut self, asked: PageRun) -> Result<(), PagesError> {
        let result = self.pages.free(&mut self.state, asked);
        self.expect_noted(asked, result, |page| page.free = true)
    }

    pub(super) fn made_ready(&mut self, asked: PageRun) -> Result<(), PagesError> {
        let result = self.pages.made_ready(&mut self.state, asked);
        self.expect_noted(asked, result, |page| page.scavenged = false)
    }

    pub(super) fn set_scavenged(&mut self, asked: PageRun) -> Result<(), PagesError> {
        let result = self.pages.set_scavenged(&mut self.state, asked);
        self.expect_noted(asked, result, |page| page.scavenged = true)
    }

    /// Takes the scavenged pages above `page`, up to `most` and the end of a word. The page below
    /// `page` is taken.
    pub(super) fn take_scavenged(&mut self, page: usize, most: usize) -> usize {
        let ends = |page: usize| page % G::GEOMETRY.chunk_pages() % WORD == 0;
        let is_taken = |page: &usize| {
            let known = self.model.get(page);
            known.is_some_and(|page| page.free && page.scavenged)
        };
        let wanted = (page..page + most)
            .take_while(|at| *at == page || !ends(*at))
            .take_while(is_taken)
            .count();
        let taken = self
            .pages
            .take_scavenged(&mut self.state, PageIdx(page), most);
        assert_eq!(taken, wanted, "{most} pages from {page:#x}");
        for page in page..page + taken {
            let page = self.model.get_mut(&page);
            page.expect("a page that was taken is owned").free = false;
        }
        taken
    }

    /// The queries, asked about `page`.
    pub(super) fn query(&mut self, page: usize, count: usize) {
        let free = |page: &usize| self.model.get(page).is_some_and(|page| page.free);
        let below = (0..page).rev().take(count).take_while(free).count();
        let asked = self.pages.free_below(&self.state, PageIdx(page), count);
        assert_eq!(asked, below, "free pages below {page:#x}");
        let longest = self.free_runs().map(|run| run.count).max();
        assert_eq!(self.pages.largest_run(&self.state), longest.unwrap_or(0));
        self.query_scavenged(run(page, count));
        self.query_ready(page, count);
        self.query_chunks();
    }

    /// The scavenged runs inside a run are maximal and complete.
    fn query_scavenged(&self, asked: PageRun) {
        let inside = |page: &usize| self.model.get(page).is_some_and(|page| page.scavenged);
        let wanted = joined((asked.first.0..asked.end().0).filter(inside));
        let runs: Vec<PageRun> = self.pages.scavenged_runs(asked, false).collect();
        assert_eq!(runs, wanted);
        assert_eq!(self.pages.count_scavenged(asked), self.scavenged_in(asked));
    }

    /// The highest free pages that are Ready, below `page`.
    fn query_ready(&mut self, page: usize, count: usize) {
        let ready =
            |(number, page): (&usize, &Page)| (page.free && !page.scavenged).then_some(*number);
        let highest = self.model.range(..page).rev().find_map(ready);
        let found = self
            .pages
            .highest_ready(&mut self.state, PageIdx(page), count);
        assert_eq!(found.map(|run| run.end().0 - 1), highest);
        let Some(found) = found else { return };
        assert!(found.count <= count);
        let chunk = G::GEOMETRY.chunk_pages();
        let all_ready = |run| self.all(run, |page| page.free && !page.scavenged);
        assert!(all_ready(found));
        if found.count < count && found.first.0 % chunk != 0 {
            assert!(!all_ready(run(found.first.0 - 1, 1)), "the run is maximal");
        }
    }

    /// The counts by chunk add up to the model's.
    fn query_chunks(&self) {
        let mut covered = 0;
        for count in self.pages.chunks(&self.state) {
            let pages = count.run.first.0..count.run.end().0;
            let known = || pages.clone().filter_map(|page| self.model.get(&page));
            covered += known().count();
            assert_eq!(count.taken, known().filter(|page| !page.free).count());
            let free = known().filter(|page| page.free);
            assert_eq!(
                count.ready,
                free.clone().filter(|page| !page.scavenged).count()
            );
            assert_eq!(count.scavenged, free.filter(|page| page.scavenged).count());
        }
        assert_eq!(covered, self.model.len());
    }

    /// The lowest page of a free run that fits, by looking at every page.
    pub(super) fn first_fit(&self, count: usize, align: usize) -> Option<usize> {
        let base = G::GEOMETRY.base >> G::GEOMETRY.page_shift;
        if count == 0 {
            return None;
        }
        self.free_runs().find_map(|free| {
            let bias = base % align;
            let first = (free.first.0 + bias).next_multiple_of(align) - bias;
            (first + count <= free.end().0).then_some(first)
        })
    }

    /// The maximal runs of pages that are in the same state.
    fn alike(&self) -> Vec<(PageRun, Page)> {
        let mut runs: Vec<(PageRun, Page)> = Vec::new();
        for (number, page) in &self.model {
            match runs.last_mut() {
                Some((last, known)) if last.end().0 == *number && known == page => last.count += 1,
                _ => runs.push((run(*number, 1), *page)),
            }
        }
        runs
    }

    /// The maximal free runs.
    fn free_runs(&self) -> impl Iterator<Item = PageRun> {
        let free = self.model.iter().filter(|(_, page)| page.free);
        joined(free.map(|(page, _)| *page)).into_iter()
    }

    /// Whether all of a run is owned and as asked.
    pub(super) fn all(&self, asked: PageRun, holds: impl Fn(&Page) -> bool) -> bool {
        let mut numbers = asked.first.0..asked.end().0;
        numbers.all(|page| self.model.get(&page).is_some_and(&holds))
    }

    fn scavenged_in(&self, asked: PageRun) -> usize {
        let known = self.model.range(asked.first.0..asked.end().0);
        known.filter(|(_, page)| page.scavenged).count()
    }

    /// Compares a run that was taken with the expected one, and takes it from the model.
    fn expect_taken(&mut self, taken: Option<Taken>, wanted: Option<PageRun>) -> Option<Taken> {
        let wanted = wanted.map(|run| Taken {
            run,
            scavenged: self.scavenged_in(run),
        });
        assert_eq!(taken, wanted);
        let run = taken?.run;
        for (_, page) in self.model.range_mut(run.first.0..run.end().0) {
            page.free = false;
        }
        taken
    }

    /// Checks that a note on a run succeeded exactly if the run is taken, and notes it in the
    /// model.
    fn expect_noted(
        &mut self,
        asked: PageRun,
        result: Result<(), PagesError>,
        note: impl Fn(&mut Page),
    ) -> Result<(), PagesError> {
        let taken = asked.count > 0 && self.all(asked, |page| !page.free);
        let wanted = if taken {
            Ok(())
        } else {
            Err(PagesError::NotTaken)
        };
        assert_eq!(result, wanted);
        if taken {
            let known = self.model.range_mut(asked.first.0..asked.end().0);
            known.for_each(|(_, page)| note(page));
        }
        result
    }
}

/// Page numbers that rise, joined to runs.
fn joined(pages: impl Iterator<Item = usize>) -> Vec<PageRun> {
    let mut runs: Vec<PageRun> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some(last) if last.end().0 == page => last.count += 1,
            _ => runs.push(run(page, 1)),
        }
    }
    runs
}
