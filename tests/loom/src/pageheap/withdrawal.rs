//! The withdrawal of parts of the heap bitmap (`src/arena/bitmap.rs`,
//! `src/pageheap/bitmap/memory.rs`).

use alloc::collections::BTreeSet;
use core::sync::atomic::Ordering::Relaxed;

use loom::sync::Arc;
use loom::thread;

use super::SmallHeap;
use crate::planted::{self, Site};

/// How the model breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Not at all.
    Kept,
    /// A reader is not counted.
    NotCounted,
    /// A reader goes on after it has left.
    ReadsAfterItLeft,
    /// A span is used without a claim on its bitmap.
    NotClaimed,
    /// A span is used after its claim was given up.
    UsedAfterItsRelease,
}

/// The value that an owner gives a unit.
pub const DESCRIBED: usize = 5;

/// Scavenging beside a reader of the whole bitmap, after which the bitmap is made anew, claimed and
/// written. Returns the units that the reader saw.
pub fn beside_a_reader(rule: Rule, site: Option<Site>) -> BTreeSet<Option<usize>> {
    planted::explore(site, move |outcomes| {
        let heap = SmallHeap::new();
        heap.ensure();
        heap.commit_bits();
        let reader = {
            let (heap, outcomes) = (Arc::clone(&heap), outcomes.clone());
            thread::spawn(move || {
                if rule != Rule::NotCounted {
                    heap.bitmap.enter();
                }
                if rule == Rule::ReadsAfterItLeft {
                    heap.bitmap.leave();
                }
                outcomes.note(heap.look());
                if rule == Rule::Kept {
                    heap.bitmap.leave();
                }
            })
        };
        let taken = heap.scavenge();
        assert!(taken <= 1, "there is one part");
        heap.commit_bits();
        assert!(heap.claim(), "the part was committed just now");
        heap.describe(DESCRIBED);
        reader.join().expect("the reader sees what it should");
        assert_eq!(heap.look(), Some(DESCRIBED), "the bitmap of a claim stays");
    })
}

/// Scavenging beside a request that takes the bitmap if it is there, and gives it up. Returns
/// whether the request got it, and whether it was there for the first of two scavenges.
pub fn beside_a_claim(rule: Rule, site: Option<Site>) -> BTreeSet<(bool, usize)> {
    planted::explore(site, move |outcomes| {
        let heap = SmallHeap::new();
        heap.ensure();
        heap.commit_bits();
        let owner = {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                let has_bits = match rule {
                    Rule::NotClaimed => heap.look().is_some(),
                    _ => heap.claim(),
                };
                if !has_bits {
                    return false;
                }
                heap.describe(DESCRIBED);
                heap.describe(0);
                if rule != Rule::NotClaimed {
                    heap.release();
                }
                if rule == Rule::UsedAfterItsRelease {
                    heap.describe(DESCRIBED);
                }
                true
            })
        };
        let first = heap.scavenge();
        let had_bits = owner.join().expect("the owner has its bitmap");
        outcomes.note((had_bits, first));
        let second = heap.scavenge();
        assert_eq!(first + second, 1, "an idle part is taken back once");
        assert_eq!(heap.look(), None, "a part that was taken back is absent");
    })
}

/// Scavenging that the machine refuses, beside a reader. Returns the units that the reader saw.
pub fn refused_beside_a_reader(site: Option<Site>) -> BTreeSet<Option<usize>> {
    planted::explore(site, move |outcomes| {
        let heap = SmallHeap::new();
        heap.ensure();
        heap.commit_bits();
        heap.machine.is_busy.store(true, Relaxed);
        let reader = {
            let (heap, outcomes) = (Arc::clone(&heap), outcomes.clone());
            thread::spawn(move || {
                heap.bitmap.enter();
                outcomes.note(heap.look());
                heap.bitmap.leave();
            })
        };
        assert_eq!(heap.scavenge(), 0, "the machine is busy");
        reader.join().expect("the reader sees what it should");
        assert_eq!(heap.look(), Some(0), "the part is Ready again");
        assert!(heap.bitmap.idle_bytes() > 0, "the part is idle again");
    })
}
