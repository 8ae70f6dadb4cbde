//! The pages of a span.

use core::sync::atomic::Ordering::Relaxed;

use archipelago_api::VirtAddr;

use super::class_table::table;
use super::record::{Kind, Record};
use crate::base::sync::read_alone;
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
        PageRun::new(self.first::<S>(), pages)
    }

    /// The span's first page.
    #[inline(always)]
    pub(crate) fn first<S: Shape>(&self) -> PageIdx {
        let start = self.start.load(Relaxed);
        if !S::SCAVENGES {
            return PageIdx(start);
        }
        // A record in use was described with a page of the space.
        PageIdx::of::<S>(VirtAddr::new(start)).unwrap_or(PageIdx(0))
    }

    /// The address of the span's first page.
    #[inline(always)]
    pub(crate) fn base<S: Shape>(&self) -> VirtAddr {
        let start = self.start.load(Relaxed);
        if S::SCAVENGES {
            VirtAddr::new(start)
        } else {
            PageIdx(start).address::<S>()
        }
    }

    /// The number of the address of the span's first page.
    ///
    /// # Safety
    /// A CPU owns the span, and does so as long as this takes.
    #[inline(always)]
    pub(super) unsafe fn base_at_once(&self) -> usize {
        // SAFETY: the field is written by who describes the record. While a CPU owns the span that
        // is the CPU alone, from within its block, as this is.
        unsafe { read_alone(&self.start) }
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
