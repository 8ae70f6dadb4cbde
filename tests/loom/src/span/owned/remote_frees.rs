//! Frees by others beside the owner that reads its inbox (`src/span/owned/remote.rs`,
//! `src/span/owned/notices.rs`).

use alloc::collections::BTreeSet;
use core::num::NonZeroU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use loom::sync::Arc;
use loom::thread;

use super::block::Entered;
use super::places::remote_words;
use super::remote::RemoteFree;
use super::stage::{SLOTS, Stage};
use super::tag::Tag;
use crate::arena::SpanHandle;
use crate::planted::{self, Site};

/// How the model breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Not at all.
    Kept,
    /// The owner empties the mask of posted words after the words.
    MaskLast,
    /// The owner empties words that the mask does not name.
    AllWords,
    /// A freer who found a word of bits in use looks at the record afterwards.
    TouchedLater,
}

/// The slots that two others free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// Slots that have their bits in one word.
    OfOneWord,
    /// Slots of which each has a word of its own.
    OfTwoWords,
}

impl Slots {
    const fn numbers(self) -> [usize; 2] {
        match self {
            Self::OfOneWord => [SLOTS[0], SLOTS[1]],
            Self::OfTwoWords => [SLOTS[0], SLOTS[2]],
        }
    }
}

/// Sends two threads that free a slot each.
fn freers(stage: &Arc<Stage>, slots: Slots, rule: Rule) -> [thread::JoinHandle<()>; 2] {
    slots.numbers().map(|slot| {
        let stage = Arc::clone(stage);
        thread::spawn(move || {
            let freed = stage.free_remotely(0, slot);
            assert_eq!(freed, RemoteFree::Done, "the slot was live");
            if rule == Rule::TouchedLater {
                stage.record().tag();
            }
        })
    })
}

/// Reads notices as [`Rule::MaskLast`] and [`Rule::AllWords`] say.
fn read_notices_badly(stage: &Stage, entered: &Entered<'_>, rule: Rule) {
    let mut next = entered.block.inbox.take_all();
    while let Some(handle) = NonZeroU32::new(next).map(SpanHandle) {
        let span = stage.records().get(handle);
        next = span.record.link().load(Relaxed);
        let mut posted = span.record.posted().load(Acquire);
        if rule == Rule::AllWords {
            span.record.posted().swap(0, Acquire);
            posted = u16::MAX;
        }
        for at in (0..2).filter(|at| posted >> at & 1 != 0) {
            let freed = span
                .word(at + remote_words(Stage::slots()))
                .swap(0, Acquire);
            let word = span.word(at);
            word.store(word.load(Relaxed) & !freed, Relaxed);
        }
        if rule == Rule::MaskLast {
            span.record.posted().swap(0, Acquire);
        }
        span.record.tag.fetch_and(!Tag::REMOTE, Acquire);
        if has_remote_bits(stage) {
            span.record.tag.fetch_or(Tag::REMOTE, Relaxed);
        }
        entered.keep_current(span.record);
    }
}

fn read_notices(stage: &Stage, entered: &Entered<'_>, rule: Rule) {
    match rule {
        Rule::Kept | Rule::TouchedLater => entered.read_notices(stage.records()),
        Rule::MaskLast | Rule::AllWords => read_notices_badly(stage, entered, rule),
    }
}

/// Two threads free a slot each while the owner reads its inbox and uses what it has taken back.
/// Returns how many slots that were.
pub fn beside_the_owner(slots: Slots, rule: Rule, site: Option<Site>) -> BTreeSet<usize> {
    planted::explore_briefly(site, move |outcomes| {
        let stage = Stage::new(&slots.numbers());
        let freers = freers(&stage, slots, rule);
        let entered = stage.enter(0).expect("nobody is inside");
        read_notices(&stage, &entered, rule);
        outcomes.note(2 - use_what_is_free(&stage, slots));
        drop(entered);
        for freer in freers {
            freer.join().expect("no panic");
        }
        let is_marked = || stage.record().tag().0 & Tag::REMOTE != 0;
        assert!(
            is_marked() || !has_remote_bits(&stage),
            "the tag says that others have freed slots"
        );
        let entered = stage.enter(0).expect("nobody is inside");
        read_notices(&stage, &entered, rule);
        assert_eq!(use_what_is_free(&stage, slots), 0, "a notice was lost");
        assert!(!is_marked(), "all is taken back");
        drop(entered);
    })
}

/// Whether a slot was freed that its owner has not taken back.
fn has_remote_bits(stage: &Stage) -> bool {
    let word = |at| stage.span().word(at + remote_words(Stage::slots()));
    (0..2).any(|at| word(at).load(Relaxed) != 0)
}

/// Uses the slots that were taken back, and returns how many were not.
fn use_what_is_free(stage: &Stage, slots: Slots) -> usize {
    let is_free = |slot: &usize| !stage.span().is_taken(*slot);
    for slot in slots.numbers().into_iter().filter(is_free) {
        stage.use_slot(slot);
    }
    stage.count_taken()
}

/// Two threads free the last slots of a span, which its owner retires once it finds it empty.
/// Returns whether that was while they ran.
pub fn of_the_last_slots(slots: Slots, rule: Rule, site: Option<Site>) -> BTreeSet<bool> {
    planted::explore_briefly(site, move |outcomes| {
        let stage = Stage::new(&slots.numbers());
        let freers = freers(&stage, slots, rule);
        let is_retired = retire(&stage, rule);
        outcomes.note(is_retired);
        for freer in freers {
            freer.join().expect("no panic");
        }
        assert!(is_retired || retire(&stage, rule), "the span is empty");
    })
}

/// Gives the span up, and its record, if it is empty.
fn retire(stage: &Stage, rule: Rule) -> bool {
    let entered = stage.enter(0).expect("nobody is inside");
    read_notices(stage, &entered, rule);
    let mut is_empty = false;
    entered.give_up_kept(stage.records(), 0, |_| is_empty = true);
    if is_empty {
        stage.withdraw();
    }
    is_empty
}
