//! The pages of a span.

use core::sync::atomic::Ordering::Relaxed;

use super::class_table::table;
use super::record::{Kind, Record};
use crate::base::{PageIdx, PageRun, Shape};

impl Record {
    /// The span's pages.
    #[inline(always)]
    pub(crate) fn run<S: Shape>(&self) -> PageRun {
        // Where memory is never taken back, no CPU owns spans, and the number is there.
        let pages = if S::SCAVENGES {
            self.count_pages::<S>()
        } else {
            self.pages.load(Relaxed) as usize
        };
        PageRun::new(PageIdx(self.first.load(Relaxed)), pages)
    }

    fn count_pages<S: Shape>(&self) -> usize {
        let small = match self.kind() {
            Kind::Small(number) => table(S::GEOMETRY.page_shift).and_then(|table| {
                let class = table.class(number)?;
                Some(table.pages(class))
            }),
            Kind::Unused | Kind::Large => None,
        };
        small.unwrap_or_else(|| self.pages.load(Relaxed) as usize)
    }
}
