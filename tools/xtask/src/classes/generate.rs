//! The choice of the size classes, and of the pages of a span of each.
//!
//! The bounds are Go's: at most an eighth of a slot is lost to rounding, at most an eighth of a
//! span to its tail. Within them, Go steps upwards and replaces a class by the next where both have
//! the same spans. Here the whole list is chosen at once: the classes are the shortest path from
//! the smallest size to the largest, where a step costs the bytes that a heap of typical size loses
//! by it. Losses are rounding, tails and span records, which finer classes and longer spans lessen,
//! and the partly filled span of each class, which they make worse.
//!
//! Only additions, multiplications and divisions of `f64` are used, so the result is the same on
//! every host.

use core::ops::Range;

/// All multiples of this number up to [`EXACT`] are classes.
const GRAIN: u32 = 8;
/// The largest of the evenly spaced sizes.
const EXACT: u32 = 128;
/// Classes above [`EXACT`] are multiples of this number: C programs expect every block to be
/// aligned to it.
const STEP: u32 = 16;
/// Powers of two up to here fill their spans exactly.
const EXACT_POWERS: u32 = 4096;
/// The divisor for losses: an eighth may be lost to rounding, and again to a span's tail.
const WASTE: u32 = 8;
/// Pages that a span may have beyond those that one object needs.
const EXTRA_PAGES: u32 = 15;
/// Live bytes of the heap that classes are chosen for, in pages. The recorded programs use about
/// twelve MiB, of 4 KiB pages; pages are smaller where memory is small.
const HEAP_PAGES: u32 = 3072;
const HEAP_SMALL_PAGES: u32 = 512;
/// Pages from here on are for machines with an MMU and memory to match.
const MMU_PAGE_BYTES: u32 = 4096;
/// The sizes that make up most of a recorded program, rounded to what malloc aligns to, with the
/// part of the heap that they are taken to be, in percent: 392 B in `jq`, 4368 B in `sqlite`. The
/// rest of the heap is spread evenly over the doublings of size.
const RECORDED: [(u32, u32); 2] = [(400, 10), (4368, 10)];
/// Slots that a span record of one cache line has bits for. The generated file compares this number
/// and the next two with the library's.
pub(super) const NARROW_SLOTS: u32 = 256;
/// Bytes of a span record without and with room for more bits.
pub(super) const RECORD_BYTES: (u32, u32) = (64, 192);

/// A size class: objects of up to `size` bytes, in spans of `pages` pages cut into `slots` slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) size: u32,
    pub(crate) pages: u32,
    pub(crate) slots: u32,
}

/// The size classes of heaps with pages of `page_bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Classes {
    pub(crate) page_bytes: u32,
    /// In ascending order of size.
    pub(crate) list: Vec<Class>,
}

/// The largest size that has a class: 32 KiB, or eight pages where pages are small.
pub(crate) fn largest(page_bytes: u32) -> u32 {
    (8 * page_bytes).min(32 << 10)
}

/// The most slots that a span may have: as many as a narrow record has bits for, but never fewer
/// than fill one page.
pub(crate) fn most_slots(page_bytes: u32) -> u32 {
    (page_bytes / GRAIN).max(NARROW_SLOTS)
}

/// Bytes of the record of a span of `slots` slots.
pub(crate) fn record_bytes(slots: u32) -> u32 {
    if slots > NARROW_SLOTS {
        RECORD_BYTES.1
    } else {
        RECORD_BYTES.0
    }
}

/// A class on the way from the smallest to the largest, with the cheapest way to it.
struct Step {
    class: Class,
    /// Bytes lost by this class and those before it.
    loss: f64,
    /// The class before it, as an index of the list of steps.
    previous: Option<usize>,
}

/// Chooses the classes for pages of `page_bytes`, a power of two of at least 256.
pub(crate) fn generate(page_bytes: u32) -> Classes {
    let demand = Demand::new(page_bytes);
    let sizes = candidates(largest(page_bytes));
    let mut steps: Vec<Step> = Vec::new();
    // The steps of each candidate size.
    let mut of_size: Vec<Range<usize>> = Vec::new();
    for (index, &size) in sizes.iter().enumerate() {
        let first = steps.len();
        for class in shapes(size, page_bytes) {
            if let Some(step) = cheapest(class, &sizes[..index], &of_size, &steps, &demand) {
                steps.push(step);
            }
        }
        of_size.push(first..steps.len());
    }
    let last = of_size.pop().unwrap_or_default();
    let mut next = last.min_by(|&a, &b| steps[a].loss.total_cmp(&steps[b].loss));
    let mut list = Vec::new();
    while let Some(index) = next {
        list.push(steps[index].class);
        next = steps[index].previous;
    }
    list.reverse();
    Classes { page_bytes, list }
}

fn candidates(largest: u32) -> Vec<u32> {
    let even = (GRAIN..=EXACT).step_by(GRAIN as usize);
    let rest = (EXACT + STEP..=largest).step_by(STEP as usize);
    even.chain(rest).collect()
}

/// Sizes that must be classes.
fn is_fixed(size: u32) -> bool {
    size <= EXACT || size.is_power_of_two()
}

/// The spans that objects of `size` may have.
fn shapes(size: u32, page_bytes: u32) -> impl Iterator<Item = Class> {
    let fewest = size.div_ceil(page_bytes);
    let exact = size.is_power_of_two() && size <= EXACT_POWERS;
    (fewest..=fewest + EXTRA_PAGES).filter_map(move |pages| {
        let bytes = pages * page_bytes;
        let slots = bytes / size;
        let tail = bytes % size;
        // A tail of a page would be a page for nothing.
        let wasteful = tail >= page_bytes || tail * WASTE > bytes || exact && tail > 0;
        (!wasteful && slots <= most_slots(page_bytes)).then_some(Class { size, pages, slots })
    })
}

/// The cheapest way to `class` from those of the smaller `sizes`.
fn cheapest(
    class: Class,
    sizes: &[u32],
    of_size: &[Range<usize>],
    steps: &[Step],
    demand: &Demand,
) -> Option<Step> {
    if sizes.is_empty() {
        let loss = demand.loss(0, class);
        return Some(Step {
            class,
            loss,
            previous: None,
        });
    }
    let mut best: Option<Step> = None;
    for (&before, indices) in sizes.iter().zip(of_size).rev() {
        let rounding = class.size - before - 1;
        if class.size > EXACT && rounding * WASTE > class.size {
            break;
        }
        let here = demand.loss(before, class);
        for index in indices.clone() {
            let step = &steps[index];
            // A class whose objects take as much memory as the next larger one's would be for
            // nothing.
            let duplicate = step.class.pages * class.slots == class.pages * step.class.slots;
            let loss = step.loss + here;
            if !duplicate && best.as_ref().is_none_or(|best| loss < best.loss) {
                best = Some(Step {
                    class,
                    loss,
                    previous: Some(index),
                });
            }
        }
        if is_fixed(before) {
            break;
        }
    }
    best
}

/// The objects that the heap is taken to hold, as sums over all sizes up to an index times
/// [`GRAIN`].
struct Demand {
    page_bytes: u32,
    objects: Vec<f64>,
    bytes: Vec<f64>,
}

impl Demand {
    fn new(page_bytes: u32) -> Self {
        let largest = largest(page_bytes);
        let pages = if page_bytes < MMU_PAGE_BYTES {
            HEAP_SMALL_PAGES
        } else {
            HEAP_PAGES
        };
        let heap = f64::from(pages) * f64::from(page_bytes);
        let sizes = || (GRAIN..=largest).step_by(GRAIN as usize);
        let recorded = RECORDED.iter().filter(|&&(size, _)| size <= largest);
        let percent: u32 = recorded.map(|&(_, percent)| percent).sum();
        let spread = heap * f64::from(100 - percent) / 100.0;
        // Bytes in inverse proportion to the size: as many in each doubling.
        let unit = spread / sizes().map(|size| 1.0 / f64::from(size)).sum::<f64>();
        let (mut objects, mut bytes) = (vec![0.0], vec![0.0]);
        let (mut all_objects, mut all_bytes) = (0.0, 0.0);
        for size in sizes() {
            let recorded = RECORDED.iter().find(|&&(recorded, _)| recorded == size);
            let percent = recorded.map_or(0, |&(_, percent)| percent);
            let live = unit / f64::from(size) + heap * f64::from(percent) / 100.0;
            all_bytes += live;
            all_objects += live / f64::from(size);
            bytes.push(all_bytes);
            objects.push(all_objects);
        }
        Self {
            page_bytes,
            objects,
            bytes,
        }
    }

    /// Bytes lost by serving the sizes above `before` from `class`.
    fn loss(&self, before: u32, class: Class) -> f64 {
        let (low, high) = ((before / GRAIN) as usize, (class.size / GRAIN) as usize);
        let objects = self.objects[high] - self.objects[low];
        let bytes = self.bytes[high] - self.bytes[low];
        let span = class.pages * self.page_bytes + record_bytes(class.slots);
        // At any moment one span of the class is partly filled, half on average.
        let unfilled = f64::from((class.slots - 1) * class.size) / 2.0;
        objects * f64::from(span) / f64::from(class.slots) - bytes + unfilled
    }
}
