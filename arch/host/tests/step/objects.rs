//! Objects with patterns, in a table that the program and its handlers share.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use crate::trap::fault;

/// Sizes of objects: few classes, so that the program and its handlers meet in one span. Some have
/// a few slots in a span, and the last two are no slots of a CPU's.
const SIZES: [usize; 12] = [8, 16, 24, 48, 64, 100, 200, 500, 1000, 4000, 8000, 20_000];

/// The sizes that are asked for now and then only.
const RARE: usize = 3;

/// The most bytes that are asked for as zeroes.
const MOST_ZEROED: usize = 500;

const ALIGNS: [usize; 4] = [1, 8, 16, 64];

/// Objects that the table has room for.
const PLACES: usize = 512;

/// An object, all bytes of which hold its mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    start: NonNull<u8>,
    layout: Layout,
    mark: u8,
}

/// All live objects but those that a call is about.
#[derive(Debug)]
pub(crate) struct Objects {
    places: [Cell<Option<Object>>; PLACES],
    live: Cell<usize>,
}

/// How calls are made: stepped or not.
pub(crate) trait Caller {
    fn call<R>(&self, call: impl FnOnce() -> R) -> R;
}

/// A caller that makes calls at random.
#[derive(Debug)]
pub(crate) struct Actor<C> {
    pub(crate) caller: C,
    random: RefCell<fastrand::Rng>,
    /// Objects that there may be before this one allocates no more.
    most: usize,
    /// Requests that were served and refused.
    served: Cell<u64>,
    refused: Cell<u64>,
}

impl Object {
    fn fill(&self) {
        // SAFETY: the bytes are the object's.
        unsafe { self.start.write_bytes(self.mark, self.layout.size()) };
    }

    /// Checks the first `bytes` bytes for `mark`.
    fn check(&self, mark: u8, bytes: usize) {
        // SAFETY: the bytes are the object's, and were written.
        let all = unsafe { core::slice::from_raw_parts(self.start.as_ptr(), bytes) };
        if let Some(at) = all.iter().position(|byte| *byte != mark) {
            let Self { start, layout, .. } = self;
            fault(format_args!(
                "{start:?}: {} bytes, aligned to {}: overwritten at {at}: {:#x} for {mark:#x}",
                layout.size(),
                layout.align(),
                all[at],
            ));
        }
    }
}

impl Objects {
    pub(crate) fn new() -> Self {
        Self {
            places: [const { Cell::new(None) }; PLACES],
            live: Cell::new(0),
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    fn put(&self, object: Object, from: usize) {
        let places = self.places[from..].iter().chain(&self.places[..from]);
        for place in places {
            if place.get().is_none() {
                place.set(Some(object));
                self.live.set(self.live.get() + 1);
                return;
            }
        }
        fault(format_args!("the table is too small"));
    }

    fn take(&self, from: usize) -> Option<Object> {
        let mut places = self.places[from..].iter().chain(&self.places[..from]);
        let taken = places.find_map(Cell::take);
        self.live
            .set(self.live.get() - usize::from(taken.is_some()));
        taken
    }

    /// Frees all objects.
    pub(crate) fn free_all(&self, heap: &impl GlobalAlloc) {
        while let Some(object) = self.take(0) {
            object.check(object.mark, object.layout.size());
            // SAFETY: the object was allocated with this layout, and nothing uses it.
            unsafe { heap.dealloc(object.start.as_ptr(), object.layout) };
        }
    }
}

impl<C: Caller> Actor<C> {
    pub(crate) fn new(caller: C, seed: u64, most: usize) -> Self {
        Self {
            caller,
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            most,
            served: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.random.borrow_mut().usize(..end)
    }

    /// The outcomes of all requests, in words.
    pub(crate) fn outcomes(&self) -> String {
        let (served, refused) = (self.served.get(), self.refused.get());
        format!("{served} served, {refused} refused")
    }

    fn layout(&self) -> Layout {
        let sizes = SIZES.len() - if self.below(16) == 0 { 0 } else { RARE };
        let (size, align) = (SIZES[self.below(sizes)], ALIGNS[self.below(ALIGNS.len())]);
        let less = self.below(4).min(size - 1);
        match Layout::from_size_align(size - less, align) {
            Ok(layout) => layout,
            Err(_) => Layout::new::<u8>(),
        }
    }

    /// Makes one call: allocates an object, frees one, or changes the size of one.
    pub(crate) fn act(&self, heap: &impl GlobalAlloc, objects: &Objects) {
        let (number, from) = (self.below(20), self.below(PLACES));
        let may_allocate = objects.live() < self.most;
        match (number, may_allocate) {
            (0..8, true) => self.allocate(heap, objects, from, false),
            (8..10, true) => self.allocate(heap, objects, from, true),
            (10..12, _) => self.reallocate(heap, objects, from),
            _ => self.free(heap, objects, from),
        }
    }

    fn allocate(&self, heap: &impl GlobalAlloc, objects: &Objects, to: usize, zeroed: bool) {
        let layout = self.layout();
        // A large one takes a step for every few bytes.
        let zeroed = zeroed && layout.size() <= MOST_ZEROED;
        let start = self.caller.call(|| {
            if zeroed {
                // SAFETY: the layout has bytes.
                unsafe { heap.alloc_zeroed(layout) }
            } else {
                // SAFETY: the layout has bytes.
                unsafe { heap.alloc(layout) }
            }
        });
        let Some(object) = self.object(start, layout) else {
            return;
        };
        if zeroed {
            object.check(0, layout.size());
        }
        object.fill();
        objects.put(object, to);
    }

    fn free(&self, heap: &impl GlobalAlloc, objects: &Objects, from: usize) {
        let Some(object) = objects.take(from) else {
            return;
        };
        object.check(object.mark, object.layout.size());
        let (start, layout) = (object.start.as_ptr(), object.layout);
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        self.caller.call(|| unsafe { heap.dealloc(start, layout) });
    }

    fn reallocate(&self, heap: &impl GlobalAlloc, objects: &Objects, from: usize) {
        let Some(old) = objects.take(from) else {
            return;
        };
        let (start, size) = (old.start.as_ptr(), self.layout().size());
        // SAFETY: the object was allocated with this layout; the size is not zero.
        let call = || unsafe { heap.realloc(start, old.layout, size) };
        let moved = self.caller.call(call);
        let layout = Layout::from_size_align(size, old.layout.align()).unwrap_or(old.layout);
        let Some(new) = self.object(moved, layout) else {
            objects.put(old, from);
            return;
        };
        new.check(old.mark, old.layout.size().min(size));
        new.fill();
        objects.put(new, from);
    }

    fn object(&self, start: *mut u8, layout: Layout) -> Option<Object> {
        let Some(start) = NonNull::new(start) else {
            self.refused.set(self.refused.get() + 1);
            return None;
        };
        self.served.set(self.served.get() + 1);
        if start.addr().get() % layout.align() != 0 {
            fault(format_args!("{start:?} is not aligned: {layout:?}"));
        }
        let mark = u8::try_from(1 + self.below(255)).unwrap_or(1);
        Some(Object {
            start,
            layout,
            mark,
        })
    }
}
