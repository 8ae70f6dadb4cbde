//! The pool of span records that are not in use.
//!
//! The first records of each kind lie in a small piece of metadata memory, for ever. All others lie
//! in **pages of records**: pages of the heap that hold records of one kind and nothing else. The
//! first record of such a page counts those of the page that are in use. A page none of whose
//! records is in use is **empty**; it stays in the pool until the heap asks for it.

use core::num::NonZeroU32;

use archipelago_api::Machine;

use super::list::RecordList;
use super::record::Record;
use super::records::{RecordKind, Records};
use crate::arena::SpanHandle;
use crate::base::sparse::Zeroed;
use crate::base::{PageIdx, Shape};
use crate::region::LINE_BYTES;

/// A page of records none of which is in use or in the pool any more.
#[derive(Debug)]
#[must_use = "a page that is dropped is lost: free it"]
pub(crate) struct RecordPage {
    page: PageIdx,
}

impl RecordPage {
    /// The page.
    pub(crate) const fn page(&self) -> PageIdx {
        self.page
    }
}

/// The records that are not in use. Guarded by the central lock.
#[derive(Debug)]
pub(super) struct Pool {
    narrow: Stock,
    wide: Stock,
    /// Bytes of all records, in use or not, and of what is left over in their pages.
    bytes: usize,
    /// Pages of records.
    pages: usize,
    /// Unused records of each kind that stay in the pool.
    kept: usize,
}

/// The unused records of one kind.
#[derive(Debug)]
pub(super) struct Stock {
    /// Unused records, but for the first ones of empty pages.
    unused: RecordList,
    /// The first records of empty pages.
    empty: RecordList,
    /// Unused records, on either list.
    pub(super) count: usize,
    /// Records of this kind, in use or not.
    all: usize,
}

impl Pool {
    /// A pool without records.
    pub(super) const fn new() -> Self {
        Self {
            narrow: Stock::NONE,
            wide: Stock::NONE,
            bytes: 0,
            pages: 0,
            kept: 0,
        }
    }

    /// Unused records of `kind`.
    pub(super) const fn count(&self, kind: RecordKind) -> usize {
        self.stock_ref(kind).count
    }

    /// Records of `kind`, in use or not.
    pub(super) const fn all(&self, kind: RecordKind) -> usize {
        self.stock_ref(kind).all
    }

    /// Records of `kind` that are not in the pool.
    pub(super) const fn in_use(&self, kind: RecordKind) -> usize {
        let stock = self.stock_ref(kind);
        stock.all.saturating_sub(stock.count)
    }

    /// Pages of records.
    pub(super) const fn pages(&self) -> usize {
        self.pages
    }

    /// Bytes of all records, in use or not.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Unused records of each kind that are kept for atomic requests.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Keeps `count` records of each kind from now on.
    pub(super) const fn keep(&mut self, count: usize) {
        self.kept = count;
    }

    const fn stock_ref(&self, kind: RecordKind) -> &Stock {
        match kind {
            RecordKind::Narrow => &self.narrow,
            RecordKind::Wide => &self.wide,
        }
    }

    pub(super) const fn stock(&mut self, kind: RecordKind) -> &mut Stock {
        match kind {
            RecordKind::Narrow => &mut self.narrow,
            RecordKind::Wide => &mut self.wide,
        }
    }

    /// Takes an unused record.
    pub(super) fn alloc<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        kind: RecordKind,
    ) -> Option<SpanHandle> {
        self.stock(kind).alloc(records)
    }

    /// Puts a record back that describes nothing.
    pub(super) fn free<M: Machine>(&mut self, records: Records<'_, M>, handle: SpanHandle) {
        let is_wide = Records::<M>::HAS_WIDE && records.get(handle).record.is_wide();
        let kind = if is_wide {
            RecordKind::Wide
        } else {
            RecordKind::Narrow
        };
        self.stock(kind).free(records, handle);
    }

    /// Whether there is an empty page.
    pub(super) fn has_empty_page(&self) -> bool {
        (self.narrow.empty.first | self.wide.empty.first) != 0
    }

    /// Takes an empty page out of the pool, if there is one and its records need not be kept.
    pub(super) fn take_empty_page<M: Machine>(
        &mut self,
        records: Records<'_, M>,
    ) -> Option<RecordPage> {
        let page = self.take_empty_page_of(records, RecordKind::Narrow);
        match page {
            None if Records::<M>::HAS_WIDE => self.take_empty_page_of(records, RecordKind::Wide),
            page => page,
        }
    }

    fn take_empty_page_of<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        kind: RecordKind,
    ) -> Option<RecordPage> {
        let kept = self.kept + kind.in_page::<M>();
        let stock = self.stock(kind);
        if stock.count < kept {
            return None;
        }
        let first = stock.take_page(records, kind)?;
        self.bytes -= M::GEOMETRY.page_bytes();
        self.pages -= 1;
        let page = PageIdx::at::<M>(records.offset(first));
        Some(RecordPage { page })
    }

    /// Adds records of `kind` in fresh memory, which is a page of records or a piece that stays. A
    /// wide record has the lines of three narrow ones.
    pub(super) fn add<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        memory: Zeroed<Record>,
        kind: RecordKind,
        is_page: bool,
    ) {
        let lines = memory.into_slice();
        self.count_bytes::<M>(size_of_val(lines), is_page);
        let stock = self.stock(kind);
        for record in lines.iter().step_by(kind.lines()) {
            if kind == RecordKind::Wide {
                record.mark_wide();
            }
            stock.add(records, record, is_page);
        }
    }

    fn count_bytes<M: Machine>(&mut self, bytes: usize, is_page: bool) {
        if is_page {
            self.bytes += M::GEOMETRY.page_bytes();
            self.pages += 1;
        } else {
            self.bytes += bytes;
        }
    }

    /// Calls `check` with each unused record until it returns `false`. Returns whether it never
    /// did, and whether there are as many records as counted.
    pub(super) fn all_unused<M: Machine>(
        &self,
        records: Records<'_, M>,
        mut check: impl FnMut(&Record) -> bool,
    ) -> (bool, bool) {
        let (mut sound, mut counted) = (true, true);
        for stock in [&self.narrow, &self.wide] {
            let mut found = 0;
            for list in [stock.unused, stock.empty] {
                list.for_each(records, stock.count, |handle, is_linked| {
                    found += 1;
                    counted &= is_linked;
                    sound &= check(records.get(handle).record);
                    sound && counted
                });
            }
            counted &= !sound || found == stock.count;
        }
        (sound, counted)
    }
}

impl Stock {
    const NONE: Self = Self {
        unused: RecordList::EMPTY,
        empty: RecordList::EMPTY,
        count: 0,
        all: 0,
    };

    fn add<M: Machine>(&mut self, records: Records<'_, M>, record: &Record, is_paged: bool) {
        // Records out of reach of the anchor are left out.
        let Some(handle) = records.handle(record) else {
            return;
        };
        self.count += 1;
        self.all += 1;
        if is_paged {
            record.mark_paged();
            if first_of_page::<M>(handle) == handle {
                return self.empty.link(records, handle);
            }
        }
        self.unused.link(records, handle);
    }

    fn alloc<M: Machine>(&mut self, records: Records<'_, M>) -> Option<SpanHandle> {
        let handle = match self.unused.pop(records) {
            Some(handle) => handle,
            None => self.empty.pop(records)?,
        };
        self.count -= 1;
        if records.get(handle).record.is_paged() {
            let first = first_of_page::<M>(handle);
            let in_use = records.get(first).record.count_in_use(true);
            if in_use == 1 && first != handle {
                // The page is not empty any more.
                self.empty.unlink(records, first);
                self.unused.link(records, first);
            }
        }
        Some(handle)
    }

    fn free<M: Machine>(&mut self, records: Records<'_, M>, handle: SpanHandle) {
        self.unused.link(records, handle);
        self.count += 1;
        if records.get(handle).record.is_paged() {
            let first = first_of_page::<M>(handle);
            if records.get(first).record.count_in_use(false) == 0 {
                self.unused.unlink(records, first);
                self.empty.link(records, first);
            }
        }
    }

    /// Takes all records of an empty page off the lists, and returns the first.
    fn take_page<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        kind: RecordKind,
    ) -> Option<SpanHandle> {
        let first = self.empty.first()?;
        self.empty.unlink(records, first);
        let in_page = kind.in_page::<M>();
        let mut handle = first.0.get();
        let line = lines(kind.lines() * LINE_BYTES);
        for _ in 1..in_page {
            // A handle counts lines downwards.
            handle = handle.wrapping_sub(line);
            if let Some(handle) = NonZeroU32::new(handle).map(SpanHandle) {
                self.unused.unlink(records, handle);
            }
        }
        self.count -= in_page;
        self.all -= in_page;
        Some(first)
    }
}

/// The first record of the page that `handle`'s lies in.
// A handle counts lines below the anchor, which is the start of a page: lower addresses have higher
// numbers. No page of records begins at the anchor.
fn first_of_page<S: Shape>(handle: SpanHandle) -> SpanHandle {
    let mask = lines(S::GEOMETRY.page_bytes()) - 1;
    let first = handle.0.get().wrapping_add(mask) & !mask;
    SpanHandle(NonZeroU32::new(first).unwrap_or(handle.0))
}

/// Cache lines in `bytes` bytes, a page at most.
fn lines(bytes: usize) -> u32 {
    u32::try_from(bytes / LINE_BYTES).unwrap_or(u32::MAX)
}
