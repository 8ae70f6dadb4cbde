//! Lookups beside the entry of a span into the arena index (`src/arena/index.rs`).

use alloc::collections::BTreeSet;
use core::num::NonZeroU32;
use core::ptr;

use loom::sync::Arc;
use loom::thread;

use crate::arena::SpanHandle;
use crate::base::PageIdx;
use crate::base::sync::{CoreUsize, Ordering::Relaxed};
use crate::memory;
use crate::pageheap::{PAGES, SmallHeap};
use crate::planted::{self, Site};
use crate::ram::Ram;

/// The stores of handles into a page map.
pub const SET: Site = Site {
    file: "src/arena/index.rs",
    function: "set",
};

/// The load of a handle.
pub const SPAN_AT: Site = Site {
    file: "src/arena/index.rs",
    function: "span_at",
};

/// The parts of the index that are there when the reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Not a table: tables and page maps are published meanwhile.
    Nothing,
    /// The entries of the pages, all empty.
    Entries,
}

/// The contents of a record that describes a span.
const FILLED: usize = 9;

/// The handle of the model's one record.
const HANDLE: SpanHandle = SpanHandle(NonZeroU32::MIN);

/// Enters a span beside a reader that looks up its last and its first page. Returns which of them
/// the reader found.
pub fn beside_a_reader(ready: Ready, site: Option<Site>) -> BTreeSet<[bool; 2]> {
    planted::explore(site, move |outcomes| {
        let (heap, record) = (SmallHeap::new(), Arc::new(CoreUsize::new(0)));
        if ready == Ready::Entries {
            heap.ensure();
        }
        let reader = {
            let (heap, record) = (Arc::clone(&heap), Arc::clone(&record));
            let outcomes = outcomes.clone();
            thread::spawn(move || {
                let pages = [PAGES.end().0 - 1, PAGES.first.0].map(PageIdx);
                outcomes.note(pages.map(|page| {
                    let found = heap.index.span_of(page.address::<Ram>());
                    if let Some(handle) = found {
                        assert_eq!(handle, HANDLE, "the entry is the span's");
                        let seen = record.load(Relaxed);
                        assert_eq!(seen, FILLED, "a record is seen before its contents");
                    }
                    found.is_some()
                }));
            })
        };
        if ready == Ready::Nothing {
            heap.ensure();
        }
        memory::make_fresh(ptr::from_ref(&*record).addr(), size_of::<CoreUsize>());
        record.store(FILLED, Relaxed);
        heap.index.set(PAGES, Some(HANDLE));
        reader.join().expect("the reader sees what it should");
        let first = heap.index.span_at(PAGES.first);
        assert_eq!(first, Some(HANDLE), "the entry stays");
    })
}
