//! The pool of span records that are not in use.
//!
//! The first records of each kind lie in a small piece of metadata memory, for ever. All others lie
//! in **pages of records**: pages of the heap that hold records of one kind and nothing else. The
//! first record of such a page counts those of the page that are in use, and the page goes back to
//! the heap when none is. One page of each kind that has become empty stays, for a program that
//! takes and frees its last record by turns.

use core::num::NonZeroU32;

use archipelago_api::Machine;

use super::list::RecordList;
use super::record::{Record, WideRecord};
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
    unused: RecordList,
    pub(super) count: usize,
    /// Records of this kind, in use or not.
    all: usize,
    /// The first record of a page none of whose records is in use; 0 if there is none, or if it is
    /// not known.
    empty: u32,
    /// There may be more such pages: they could not go while their records were kept.
    has_more_empty: bool,
}

impl Stock {
    const EMPTY: Self = Self {
        unused: RecordList::EMPTY,
        count: 0,
        all: 0,
        empty: 0,
        has_more_empty: false,
    };

    fn add<M: Machine>(&mut self, records: Records<'_, M>, record: &Record, is_paged: bool) {
        if is_paged {
            record.mark_paged();
        }
        // Records out of reach of the anchor are left out.
        if let Some(handle) = records.handle(record) {
            self.unused.link(records, handle);
            self.count += 1;
            self.all += 1;
        }
    }
}

impl Pool {
    /// A pool without records.
    pub(super) const fn new() -> Self {
        Self {
            narrow: Stock::EMPTY,
            wide: Stock::EMPTY,
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
        let stock = self.stock(kind);
        let handle = stock.unused.first()?;
        stock.unused.unlink(records, handle);
        stock.count -= 1;
        let first = first_of_page::<M>(handle);
        if records.get(handle).record.is_paged()
            && records.get(first).record.count_in_use(true) == 1
        {
            stock.forget_empty(first);
        }
        Some(handle)
    }

    /// Puts a record back that describes nothing. Returns the page that it was the last one of, if
    /// that is not needed.
    pub(super) fn free<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        handle: SpanHandle,
    ) -> Option<RecordPage> {
        let record = records.get(handle).record;
        let kind = kind_of_record::<M>(record);
        let stock = self.stock(kind);
        stock.unused.link(records, handle);
        stock.count += 1;
        if !record.is_paged() {
            return None;
        }
        let first = first_of_page::<M>(handle);
        if records.get(first).record.count_in_use(false) > 0 {
            return None;
        }
        if stock.empty == 0 {
            stock.empty = first.0.get();
            return None;
        }
        self.take_page(records, kind, first)
    }

    /// Takes a page of records of which none is in use out of the pool, if there is one and its
    /// records need not be kept.
    pub(super) fn take_empty_page<M: Machine>(
        &mut self,
        records: Records<'_, M>,
    ) -> Option<RecordPage> {
        for kind in [RecordKind::Narrow, RecordKind::Wide] {
            if kind == RecordKind::Wide && !Records::<M>::HAS_WIDE {
                continue;
            }
            let stock = self.stock(kind);
            if stock.empty == 0 && stock.has_more_empty {
                stock.find_empty(records);
            }
            if let Some(first) = NonZeroU32::new(stock.empty).map(SpanHandle) {
                if let Some(page) = self.take_page(records, kind, first) {
                    return Some(page);
                }
            }
        }
        None
    }

    /// Takes the page whose first record is `first`, none of whose records is in use, out of the
    /// pool, unless that would leave fewer records than are kept.
    fn take_page<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        kind: RecordKind,
        first: SpanHandle,
    ) -> Option<RecordPage> {
        let (kept, in_page) = (self.kept, kind.in_page::<M>());
        let stock = self.stock(kind);
        if stock.count < kept + in_page {
            stock.has_more_empty = true;
            return None;
        }
        stock.forget_empty(first);
        let mut handle = first.0.get();
        for _ in 0..in_page {
            if let Some(handle) = NonZeroU32::new(handle).map(SpanHandle) {
                stock.unused.unlink(records, handle);
            }
            // A handle counts lines downwards.
            handle = handle.wrapping_sub(lines(kind.bytes()));
        }
        stock.count -= in_page;
        stock.all -= in_page;
        self.bytes -= M::GEOMETRY.page_bytes();
        self.pages -= 1;
        let page = PageIdx::at::<M>(records.offset(first));
        Some(RecordPage { page })
    }

    /// Adds narrow records in fresh memory, which is a page of records or a piece that stays.
    pub(super) fn add<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        memory: Zeroed<Record>,
        is_page: bool,
    ) {
        let added = memory.into_slice();
        self.count_bytes::<M>(size_of_val(added), is_page);
        for record in added {
            self.narrow.add(records, record, is_page);
        }
    }

    /// Adds wide records, like [`add`](Self::add).
    pub(super) fn add_wide<M: Machine>(
        &mut self,
        records: Records<'_, M>,
        memory: Zeroed<WideRecord>,
        is_page: bool,
    ) {
        let added = memory.into_slice();
        self.count_bytes::<M>(size_of_val(added), is_page);
        for wide in added {
            wide.record.mark_wide();
            self.wide.add(records, &wide.record, is_page);
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
            stock
                .unused
                .for_each(records, stock.count, |handle, is_linked| {
                    found += 1;
                    counted &= is_linked;
                    sound &= check(records.get(handle).record);
                    sound && counted
                });
            counted &= !sound || found == stock.count;
        }
        (sound, counted)
    }
}

impl Stock {
    fn forget_empty(&mut self, first: SpanHandle) {
        if self.empty == first.0.get() {
            self.empty = 0;
        }
    }

    /// Finds a page none of whose records is in use.
    fn find_empty<M: Machine>(&mut self, records: Records<'_, M>) {
        let mut found = 0;
        let unused = self.unused;
        unused.for_each(records, self.count, |handle, _| {
            let record = records.get(handle).record;
            let is_first = record.is_paged() && first_of_page::<M>(handle) == handle;
            if is_first && record.records_in_use() == 0 {
                found = handle.0.get();
            }
            found == 0
        });
        self.empty = found;
        self.has_more_empty = found != 0;
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

/// The kind of a record.
fn kind_of_record<M: Machine>(record: &Record) -> RecordKind {
    if Records::<M>::HAS_WIDE && record.is_wide() {
        RecordKind::Wide
    } else {
        RecordKind::Narrow
    }
}
