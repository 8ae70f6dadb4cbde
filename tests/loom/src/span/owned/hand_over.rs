//! Spans that go from one CPU to the central lists and on to another, beside frees; and blocks that
//! are entered from outside (`src/span/owned/block.rs`, `src/span/exchange.rs`,
//! `src/heap/cpus.rs`).

use alloc::collections::BTreeSet;

use archipelago_api::Reentry;
use loom::sync::Arc;
use loom::thread;

use super::super::central::Lists;
use super::block::Entered;
use super::remote::RemoteFree;
use super::stage::{SLOTS, Stage};
use crate::planted::{self, Site};

/// How the model breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Not at all.
    Kept,
    /// A CPU makes a central span its own without the central lock.
    OwnedWithoutTheLock,
    /// Spans are given up without the central lock.
    GivenUpWithoutTheLock,
    /// A free is not finished whose span was handed over.
    NotFinished,
    /// A block is used without being entered.
    NotEntered,
}

/// The owner of a span at the moment when a slot of it was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A CPU, which takes the slot back later.
    Cpu(usize),
    /// The central lists: the slot was freed at once.
    Nobody,
}

/// The slot that another frees.
const FREED: usize = SLOTS[0];

/// A slot of the other word of bits.
const LIVE: usize = SLOTS[2];

/// Frees a slot as the heap does for a caller whose CPU does not own the span: without a lock, but
/// for a span that is nobody's, or was handed over meanwhile.
fn free(stage: &Stage, slot: usize, rule: Rule) -> Owner {
    let Some(owner) = stage.record().tag().owner() else {
        stage.use_slot(slot);
        return free_locked(stage, slot);
    };
    let number = u16::try_from(owner.number()).expect("a number");
    let freed = stage.free_remotely(number, slot);
    assert_ne!(freed, RemoteFree::Double, "the slot was live");
    match freed {
        RemoteFree::HandedOver if rule == Rule::NotFinished => Owner::Nobody,
        RemoteFree::HandedOver => finish(stage, slot),
        _ => Owner::Cpu(owner.number()),
    }
}

/// Frees a slot of a span that was nobody's when it was looked up.
fn free_locked(stage: &Stage, slot: usize) -> Owner {
    stage.with_lists(|lists| match stage.record().tag().owner() {
        Some(owner) => {
            let tag = stage.record().tag();
            // SAFETY: the slot is the caller's, in a span of that CPU's.
            let freed = unsafe {
                let span = (stage.span(), tag);
                let (records, slots) = (stage.records(), Stage::slots());
                let block = stage.block(owner.number());
                block.free_remotely(records, span, slot, slots)
            };
            assert_eq!(
                freed,
                RemoteFree::Done,
                "no span is handed over under the lock"
            );
            Owner::Cpu(owner.number())
        }
        None => {
            free_central(stage, lists, slot);
            Owner::Nobody
        }
    })
}

/// Finishes a free as `src/heap/remote.rs` does.
fn finish(stage: &Stage, slot: usize) -> Owner {
    stage.with_lists(|lists| match stage.record().tag().owner() {
        Some(owner) => {
            let block = stage.block(owner.number());
            block.post_word_of(stage.records(), stage.record(), slot);
            Owner::Cpu(owner.number())
        }
        None => {
            for slot in stage.span().take_remote_slots(slot, Stage::slots()) {
                free_central(stage, lists, slot);
            }
            Owner::Nobody
        }
    })
}

fn free_central(stage: &Stage, lists: &mut Lists, slot: usize) {
    let span = stage.span();
    // SAFETY: the central lock is held until the token is used up.
    let live = unsafe { span.taken_slot(slot) }.expect("the slot was live");
    let (class, slots) = (Stage::class(), Stage::slots());
    let retired = lists.free(stage.records(), stage.handle(), span, class, live, slots);
    if retired.is_some() {
        stage.withdraw();
    }
}

/// Makes CPU 0 give up its span, as before a refusal. Returns whether the span was empty, and is no
/// more.
pub(super) fn give_up(stage: &Stage, entered: &Entered<'_>, rule: Rule) -> bool {
    let mut is_retired = false;
    let mut put = |lists: &mut Lists, handle| {
        let (class, slots) = (Stage::class(), Stage::slots());
        let retired = lists.return_span(stage.records(), handle, class, slots);
        is_retired = retired.is_some();
    };
    if rule == Rule::GivenUpWithoutTheLock {
        entered.drain(stage.records(), || (), |(), _| ());
        stage.with_lists(|lists| put(lists, stage.handle()));
    } else {
        entered.drain(
            stage.records(),
            || stage.lists(),
            |lists, handle| put(lists, handle),
        );
    }
    if is_retired {
        stage.withdraw();
    }
    is_retired
}

/// Makes a central span CPU 1's and takes a slot of it, if there is one.
fn take_over(stage: &Stage, rule: Rule) -> Option<usize> {
    let entered = stage.enter(1).expect("nobody is inside");
    let own = || entered.own(stage.records(), stage.handle(), Stage::place());
    let is_there = stage.with_lists(|lists| {
        let taken = lists.take_span(stage.records(), Stage::span_class());
        if taken.is_some() && rule != Rule::OwnedWithoutTheLock {
            own();
        }
        taken.is_some()
    });
    if !is_there {
        return None;
    }
    if rule == Rule::OwnedWithoutTheLock {
        own();
    }
    let slot = stage.slot_at(entered.take(Stage::place())?);
    stage.use_slot(slot);
    Some(slot)
}

/// A span goes from CPU 0 to the central lists and to CPU 1 while its last object is freed. Returns
/// whose the span was then.
pub fn beside_a_free(rule: Rule, site: Option<Site>) -> BTreeSet<Owner> {
    planted::explore(site, move |outcomes| {
        let stage = Stage::new(&[FREED]);
        let freer = {
            let (stage, outcomes) = (Arc::clone(&stage), outcomes.clone());
            thread::spawn(move || outcomes.note(free(&stage, FREED, rule)))
        };
        let taken = hand_over(&stage, rule);
        freer.join().expect("no panic");
        check_that_live_are(&stage, usize::from(taken.is_some()));
    })
}

/// A span goes the same way while two of its objects are freed that have their bits in one word.
/// Returns whose the span was at each of the frees.
pub fn beside_two_frees(rule: Rule, site: Option<Site>) -> BTreeSet<Owner> {
    planted::explore_within(Some(2), site, move |outcomes| {
        let stage = Stage::new(&SLOTS[..3]);
        let freers = [SLOTS[0], SLOTS[1]].map(|slot| {
            let (stage, outcomes) = (Arc::clone(&stage), outcomes.clone());
            thread::spawn(move || outcomes.note(free(&stage, slot, rule)))
        });
        let taken = hand_over(&stage, rule);
        for freer in freers {
            freer.join().expect("no panic");
        }
        check_that_live_are(&stage, 1 + usize::from(taken.is_some()));
    })
}

/// CPU 0 gives its span up, and CPU 1 takes it over. Returns the slot that it takes.
fn hand_over(stage: &Stage, rule: Rule) -> Option<usize> {
    let entered = stage.enter(0).expect("nobody is inside");
    let is_retired = give_up(stage, &entered, rule);
    drop(entered);
    if is_retired {
        return None;
    }
    take_over(stage, rule)
}

/// Checks that so many slots are live once the owner has read its notices.
fn check_that_live_are(stage: &Stage, count: usize) {
    if stage.is_gone() {
        assert_eq!(count, 0, "a live slot keeps the span");
        return;
    }
    if let Some(owner) = stage.record().tag().owner() {
        let entered = stage.enter(owner.number()).expect("nobody is inside");
        entered.read_notices(stage.records());
    }
    assert_eq!(stage.count_taken(), count, "a slot is lost");
}

/// The block of a CPU is drained from outside while the CPU takes a slot. Returns whether the slot
/// was had and whether the block was drained.
pub fn from_outside(rule: Rule, site: Option<Site>) -> BTreeSet<(bool, bool)> {
    planted::explore(site, move |outcomes| {
        let stage = Stage::new(&[LIVE]);
        let owner = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                let entered = stage.enter(0)?;
                let slot = stage.slot_at(entered.take(Stage::place())?);
                stage.use_slot(slot);
                Some(slot)
            })
        };
        let entered = if rule == Rule::NotEntered {
            stage.use_cells();
            // SAFETY: none: the model shows what becomes of it.
            Some(unsafe { stage.block(0).entered(Reentry::THREADS) })
        } else {
            stage.enter(0)
        };
        let is_drained = entered.is_some_and(|entered| !give_up(&stage, &entered, rule));
        let taken = owner.join().expect("no panic");
        outcomes.note((taken.is_some(), is_drained));
        let live = 1 + usize::from(taken.is_some());
        assert_eq!(stage.count_taken(), live, "a slot is lost");
        let is_central = stage.record().tag().owner().is_none();
        assert_eq!(is_central, is_drained, "the span is the CPU's or nobody's");
    })
}
