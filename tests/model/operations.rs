//! Random operations.

use archipelago::AllocFlags;
use archipelago_sim::SimGeometry;
use archipelago_testing::{Rig, layout};
use fastrand::Rng;

use crate::shadow::Shadow;
use crate::subject::Subject;

/// How large operations are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Bytes that may be live before frees become more likely than allocations.
    pub(crate) live_bytes: usize,
    /// The largest object, and the largest alignment.
    pub(crate) largest: usize,
}

/// Performs one operation and returns whether it was served.
pub(crate) fn step<G: SimGeometry, S: Subject>(
    shadow: &mut Shadow<'_, G, S>,
    random: &mut Rng,
    scale: Scale,
) -> bool {
    let is_full = shadow.live_bytes() >= scale.live_bytes;
    // Runs of pages are large, which Miri is slow to fill.
    if random.u8(..if cfg!(miri) { 32 } else { 8 }) == 0 {
        return step_run(shadow, random, scale, is_full);
    }
    let number = (shadow.count() > 0).then(|| random.usize(..shadow.count()));
    let kind = random.u8(..16);
    match number {
        Some(number) if kind < if is_full { 11 } else { 5 } => {
            shadow.free(number);
            true
        }
        Some(number) if kind < 13 && kind > 9 => {
            let old = shadow.layout(number).size();
            let size = resized::<G>(random, old, scale);
            shadow.resize(number, size, flags(random)).is_ok()
        }
        _ => {
            let layout = layout(size::<G>(random, scale), align::<G>(random, scale));
            shadow.allocate(layout, flags(random)).is_ok()
        }
    }
}

/// Performs one operation on a run of pages and returns whether it was served.
fn step_run<G: SimGeometry, S: Subject>(
    shadow: &mut Shadow<'_, G, S>,
    random: &mut Rng,
    scale: Scale,
    is_full: bool,
) -> bool {
    let number = (shadow.count_runs() > 0).then(|| random.usize(..shadow.count_runs()));
    let kind = random.u8(..16);
    match number {
        Some(number) if kind < if is_full { 10 } else { 4 } => {
            shadow.free_run(number);
            true
        }
        Some(number) if kind > 12 => {
            let count = random.usize(1..=shadow.pages_of(number));
            shadow.shrink_run(number, count);
            true
        }
        Some(number) if kind > 9 => {
            let more = pages::<G>(random, scale);
            shadow.extend_run(number, more, flags(random)).is_ok()
        }
        _ => {
            let count = pages::<G>(random, scale);
            let align = align::<G>(random, scale);
            shadow.allocate_run(count, align, flags(random)).is_ok()
        }
    }
}

/// Pages of a run: mostly few, at times as many as the largest object has.
fn pages<G: SimGeometry>(random: &mut Rng, scale: Scale) -> usize {
    let largest = (scale.largest / Rig::<G>::PAGE).max(1);
    let most = match kind(random) {
        0..32 => 2,
        32..60 => 8,
        _ => largest,
    };
    random.usize(1..=most.min(largest))
}

fn flags(random: &mut Rng) -> AllocFlags {
    let growth = match random.u8(..32) {
        0 | 1 => AllocFlags::NO_GROW,
        2 => AllocFlags::ATOMIC,
        _ => AllocFlags::empty(),
    };
    let zeroed = if random.u8(..4) == 0 {
        AllocFlags::ZEROED
    } else {
        AllocFlags::empty()
    };
    growth | zeroed
}

/// One of 64 kinds of operation. Under Miri, where a new span takes a third of a second, the
/// ordinary ones are more frequent still.
fn kind(random: &mut Rng) -> u8 {
    let most = if cfg!(miri) && random.u8(..8) > 0 {
        32
    } else {
        64
    };
    random.u8(..most)
}

/// A size: mostly small, sometimes pages, at times larger than an arena.
fn size<G: SimGeometry>(random: &mut Rng, scale: Scale) -> usize {
    let most = match kind(random) {
        0..32 => 128,
        32..48 => 1024,
        48..58 => Rig::<G>::PAGE,
        58..62 => 10 * Rig::<G>::PAGE,
        _ => scale.largest,
    };
    random.usize(1..=most.min(scale.largest))
}

/// An alignment: mostly that of ordinary objects, sometimes above a page, at times above an arena.
fn align<G: SimGeometry>(random: &mut Rng, scale: Scale) -> usize {
    let most = match kind(random) {
        0..48 => 16,
        48..56 => 1024,
        56..62 => 8 * Rig::<G>::PAGE,
        _ => scale.largest,
    };
    1 << random.u32(..=most.min(scale.largest).ilog2())
}

/// A new size for an object of `old` bytes: near, half, double, or any.
fn resized<G: SimGeometry>(random: &mut Rng, old: usize, scale: Scale) -> usize {
    let page = Rig::<G>::PAGE;
    let size = match random.u8(..8) {
        0 | 1 => old + random.usize(..=page),
        2 => old.saturating_sub(random.usize(..=page)),
        3 => old / 2,
        4 | 5 => old * 2,
        _ => size::<G>(random, scale),
    };
    size.clamp(1, scale.largest)
}
