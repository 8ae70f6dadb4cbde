//! A heap without memory: which pages objects of given sizes take.

extern crate alloc;

use alloc::collections::BTreeSet;

use super::pages::{Pages, Run};
use crate::classes::generate::{Class, Classes, largest, record_bytes};

/// What the table does not decide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Policy {
    /// Runs of less than 16 pages come out of a cache of 64.
    pub(super) page_cache: bool,
    /// A span that has lost its last object is kept if no other of its class has free slots.
    pub(super) keep_empty: bool,
    /// Large objects move when their size changes.
    pub(super) always_move: bool,
}

/// Metadata that does not grow with the heap, in bytes.
const FIXED_METADATA: usize = 16 << 10;
/// The map from page to span: bytes of an entry, and entries that are committed together.
const MAP_ENTRY: usize = 4;
const MAP_ENTRIES: usize = 1024;
/// Pages of a chunk, and the bytes of its bitmaps.
const CHUNK_PAGES: usize = 512;
const CHUNK_BITMAPS: usize = 128;
/// Page-table frames above the last level, and for metadata.
const UPPER_TABLES: usize = 5;

/// Where an object is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Object {
    Small { span: usize, slot: usize },
    Large(Run),
}

#[derive(Debug)]
struct Span {
    run: Run,
    class: usize,
    taken: Vec<bool>,
    free: usize,
}

/// Frames behind a heap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames {
    pub(super) objects: usize,
    pub(super) metadata: usize,
    pub(super) tables: usize,
}

impl Frames {
    /// Those that are Ready.
    fn ready(self) -> usize {
        self.objects + self.metadata
    }

    pub(super) fn all(self) -> usize {
        self.ready() + self.tables
    }
}

#[derive(Debug)]
pub(super) struct Heap<'a> {
    page_bytes: u32,
    classes: &'a [Class],
    policy: Policy,
    pages: Pages,
    spans: Vec<Option<Span>>,
    unused_spans: Vec<usize>,
    /// Spans with free slots, of each class.
    partial: Vec<BTreeSet<usize>>,
    record_bytes: usize,
    most_record_bytes: usize,
}

impl<'a> Heap<'a> {
    /// A heap of at most `limit` pages of objects.
    pub(super) fn new(table: &'a Classes, policy: Policy, limit: usize) -> Self {
        Self {
            page_bytes: table.page_bytes,
            classes: &table.list,
            policy,
            pages: Pages::new(limit, policy.page_cache),
            spans: Vec::new(),
            unused_spans: Vec::new(),
            partial: vec![BTreeSet::new(); table.list.len()],
            record_bytes: 0,
            most_record_bytes: 0,
        }
    }

    pub(super) fn frames(&self) -> Frames {
        let page = self.page_bytes as usize;
        let extent = self.pages.extent();
        let chunks = extent.div_ceil(CHUNK_PAGES);
        let metadata = [
            FIXED_METADATA,
            self.most_record_bytes,
            extent.div_ceil(MAP_ENTRIES) * MAP_ENTRIES * MAP_ENTRY,
            chunks * CHUNK_BITMAPS,
        ];
        Frames {
            objects: self.pages.ready(),
            metadata: metadata.iter().map(|bytes| bytes.div_ceil(page)).sum(),
            tables: chunks + UPPER_TABLES,
        }
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.frames().ready() * self.page_bytes as usize
    }

    pub(super) fn allocate(&mut self, size: u32, align: u32) -> Option<Object> {
        let Some(class) = self.class(size, align) else {
            let run = self.pages.allocate(self.run_pages(size))?;
            self.add_record(1);
            return Some(Object::Large(run));
        };
        let index = match self.partial[class].first() {
            Some(&index) => index,
            None => self.new_span(class)?,
        };
        let span = self.spans[index].as_mut()?;
        let slot = span.taken.iter().position(|taken| !taken)?;
        span.taken[slot] = true;
        span.free -= 1;
        if span.free == 0 {
            self.partial[class].remove(&index);
        }
        Some(Object::Small { span: index, slot })
    }

    pub(super) fn free(&mut self, object: Object) {
        match object {
            Object::Large(run) => {
                self.pages.free(run);
                self.record_bytes -= record_bytes(1) as usize;
            }
            Object::Small { span, slot } => self.free_slot(span, slot),
        }
    }

    /// Where an object is after its size has changed; `None` if there is no room for it.
    pub(super) fn reallocate(&mut self, object: Object, new: u32, align: u32) -> Option<Object> {
        let class = self.class(new, align);
        let stays = match object {
            Object::Small { span, .. } => {
                let old = self.spans[span].as_ref().map(|span| span.class);
                (old == class).then_some(object)
            }
            Object::Large(_) if class.is_some() || self.policy.always_move => None,
            Object::Large(run) => self.resize(run, self.run_pages(new)).map(Object::Large),
        };
        if stays.is_some() {
            return stays;
        }
        let moved = self.allocate(new, align)?;
        self.free(object);
        Some(moved)
    }

    /// Shortens a run, or extends it if the pages after it are free.
    fn resize(&mut self, run: Run, count: usize) -> Option<Run> {
        let resized = Run { count, ..run };
        if count > run.count {
            let extended = self.pages.extend(run, count - run.count);
            return extended.then_some(resized);
        }
        self.pages.free(Run {
            first: run.first + count,
            count: run.count - count,
        });
        Some(resized)
    }

    fn class(&self, size: u32, align: u32) -> Option<usize> {
        let size = size.max(1).next_multiple_of(align);
        if size > largest(self.page_bytes) || align > self.page_bytes {
            return None;
        }
        let first = self.classes.partition_point(|class| class.size < size);
        (first..self.classes.len()).find(|&index| self.classes[index].size % align == 0)
    }

    fn run_pages(&self, size: u32) -> usize {
        size.div_ceil(self.page_bytes) as usize
    }

    fn add_record(&mut self, slots: u32) {
        self.record_bytes += record_bytes(slots) as usize;
        self.most_record_bytes = self.most_record_bytes.max(self.record_bytes);
    }

    fn new_span(&mut self, class: usize) -> Option<usize> {
        let Class { pages, slots, .. } = self.classes[class];
        let run = self.pages.allocate(pages as usize)?;
        self.add_record(slots);
        let span = Span {
            run,
            class,
            taken: vec![false; slots as usize],
            free: slots as usize,
        };
        let index = self.unused_spans.pop().unwrap_or(self.spans.len());
        if index == self.spans.len() {
            self.spans.push(None);
        }
        self.spans[index] = Some(span);
        self.partial[class].insert(index);
        Some(index)
    }

    fn free_slot(&mut self, index: usize, slot: usize) {
        let Some(span) = self.spans[index].as_mut() else {
            return;
        };
        span.taken[slot] = false;
        span.free += 1;
        let (class, run) = (span.class, span.run);
        let partial = &mut self.partial[class];
        partial.insert(index);
        let slots = self.classes[class].slots;
        let kept = self.policy.keep_empty && partial.len() == 1;
        if span.free < slots as usize || kept {
            return;
        }
        partial.remove(&index);
        self.spans[index] = None;
        self.unused_spans.push(index);
        self.record_bytes -= record_bytes(slots) as usize;
        self.pages.free(run);
    }
}
