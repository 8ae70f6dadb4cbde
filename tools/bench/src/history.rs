//! Objects of one size after objects of another: a heap that was full, and whose objects are all
//! freed, serves as a fresh one does.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago::{AllocFlags, Heap, Kernel, Machine};

use crate::Subject;

/// Points of a hundred that a heap with a history may be behind a fresh one.
pub const POINTS: usize = 2;

/// Two sizes, one after the other, and the objects of the second that a heap had room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Bytes of the objects that were freed.
    pub first: usize,
    /// Bytes of the objects that came after them.
    pub second: usize,
    /// Objects of the second size that a fresh heap has room for.
    pub fresh: usize,
    /// Objects of the second size that there was room for.
    pub after: usize,
}

impl Pair {
    /// The points that the heap is behind a fresh one.
    #[must_use]
    pub fn points(&self) -> usize {
        points_behind(self.fresh, self.after)
    }
}

/// The least points of a hundred, rounded up to whole objects, that `after` objects are fewer than
/// `fresh` ones.
#[must_use]
pub fn points_behind(fresh: usize, after: usize) -> usize {
    match fresh.saturating_sub(after) {
        0 => 0,
        missing => (missing - 1) * 100 / fresh + 1,
    }
}

/// The bytes of a slot of each size class, found by asking a heap without objects.
#[must_use]
pub fn class_sizes<M: Machine, K: Kernel>(heap: &Heap<M, K>) -> Vec<usize> {
    let mut sizes = Vec::new();
    loop {
        let size = sizes.last().map_or(1, |last| last + 1);
        let layout = Layout::from_size_align(size, 1).expect("a layout");
        let object = heap.allocate(layout, AllocFlags::empty()).expect("memory");
        let mut is_slot = false;
        heap.for_each_span(|span| is_slot |= span.live > 0 && span.class.is_some());
        // SAFETY: the object was allocated just now, and nothing uses it.
        unsafe { heap.deallocate(object.cast(), layout) };
        if !is_slot {
            return sizes;
        }
        sizes.push(object.len());
    }
}

/// The pair of `sizes` by which a heap is farthest behind a fresh one; each pair gets a heap of its
/// own from `make`.
#[must_use]
pub fn worst_pair<S: Subject>(sizes: &[usize], make: impl Fn() -> S) -> Option<Pair> {
    let made = sizes
        .iter()
        .map(|size| (*size, fill_with(&mut make(), *size).len()));
    let fresh: Vec<_> = made.filter(|(_, count)| *count > 0).collect();
    let pairs = fresh
        .iter()
        .flat_map(|first| fresh.iter().map(move |second| (first, second)));
    let follow = |((first, _), (second, fresh)): (&(usize, usize), &(usize, usize))| {
        let mut subject = make();
        for object in fill_with(&mut subject, *first) {
            // SAFETY: the object was allocated with this layout, and nothing uses it.
            unsafe { subject.free(object, layout_of(*first)) };
        }
        Pair {
            first: *first,
            second: *second,
            fresh: *fresh,
            after: fill_with(&mut subject, *second).len(),
        }
    };
    pairs.map(follow).max_by_key(Pair::points)
}

fn layout_of(size: usize) -> Layout {
    Layout::from_size_align(size, 1).expect("a layout")
}

/// Allocates objects of `size` bytes until one is refused.
fn fill_with(subject: &mut impl Subject, size: usize) -> Vec<NonNull<u8>> {
    core::iter::from_fn(|| subject.allocate(layout_of(size))).collect()
}
