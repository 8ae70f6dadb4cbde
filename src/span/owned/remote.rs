//! Slots that are freed by others than the owner of their span, without a lock.
//!
//! Each word of live bits has a word of remote bits beside it. Who frees a slot of another CPU sets
//! its remote bit. Who finds the word of remote bits empty **posts** it: he sets the word's bit in
//! the record's mask of posted words, and who finds that mask empty puts the record on the list of
//! the owner's **inbox**. The owner takes records off the inbox, empties their masks, and then the
//! words that the masks named, and no others.
//!
//! So a slot that was freed counts as live until the owner reads the notice of its word, and as
//! long as one is live the span stays the owner's: the record cannot go while somebody posts it.
//! Who finds the word not empty touches the record no more, because another has posted it, or will.
//!
//! An owner **hands over** a span with live slots by taking its tag away, and takes it back if a
//! remote bit is set then. Who posts a word looks at the tag after setting the bit: either he finds
//! the tag as it was, and the owner, who looks at the bits later, keeps the span; or he finishes
//! the free under the central lock, where no span is handed over, for all bits of the word.

use super::super::record::{Record, WORD_BITS};
use super::atomics::{replace, set_in_mask, set_in_number, set_in_word, swap_number};
use super::tag::Tag;
use crate::base::sync::{AtomicU32, CoreUsize as AtomicUsize, Ordering};

/// The outcome of a free by another than the owner of the span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteFree {
    /// The slot is the owner's to take back.
    Done,
    /// The slot was freed before.
    Double,
    /// The owner has handed the span over meanwhile: the free is to be finished under the central
    /// lock, for the whole word.
    HandedOver,
}

/// The outcome of setting the remote bit of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    /// The slot is the owner's to take back.
    Done,
    /// The bit is the first one of its word, which is to be announced.
    First,
    /// The slot was freed before.
    Double,
}

/// Marks `slot` of the span of `record`, whose tag was `tag`, as freed. `live` and `remote` are the
/// words of its bit.
///
/// # Safety
/// The slot is the caller's, if it is live, so that the span is in use until this sets its bit.
#[inline(always)]
pub(super) unsafe fn mark(
    (record, tag): (&Record, Tag),
    slot: usize,
    (live, remote): (&AtomicUsize, &AtomicUsize),
) -> Marked {
    let bit = 1 << (slot % WORD_BITS);
    if live.load(Ordering::Relaxed) & bit == 0 {
        return Marked::Double;
    }
    // First: the record is touched afterwards only if the word was empty.
    if tag.0 & Tag::REMOTE == 0 {
        set_in_number(&record.tag, Tag::REMOTE, Ordering::Relaxed);
    }
    let before = set_in_word(remote, bit, Ordering::Release);
    if before & bit != 0 {
        return Marked::Double;
    }
    if before == 0 {
        return Marked::First;
    }
    Marked::Done
}

/// Announces a word of remote bits, number `word` of the span of `record`, to the owner, after the
/// first of its bits was set. The tag was `tag` before.
pub(super) fn announce(
    (record, tag): (&Record, Tag),
    word: usize,
    post: impl FnOnce(&Record),
) -> RemoteFree {
    // The owner may have read notices meanwhile, and cleared the mark before the bit was set.
    let now = set_in_number(&record.tag, Tag::REMOTE, Ordering::AcqRel);
    if !Tag(now).is_of_same_owner(tag) {
        return RemoteFree::HandedOver;
    }
    post_word(record, word, post);
    RemoteFree::Done
}

/// Posts a word of remote bits that is not empty.
pub(super) fn post_word(record: &Record, word: usize, post: impl FnOnce(&Record)) {
    if set_in_mask(record.posted(), 1 << word, Ordering::Release) == 0 {
        post(record);
    }
}

/// The list of records whose owner has notices to read.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Inbox {
    first: AtomicU32,
}

impl Inbox {
    /// Puts `record`, which is on no inbox, on this one.
    pub(super) fn post(&self, record: &Record, handle: u32) {
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            record.link().store(first, Ordering::Relaxed);
            match replace(&self.first, first, handle) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Whether there are notices.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.load(Ordering::Relaxed) == 0
    }

    /// Takes all records off the list; the first one's handle, 0 if there is none.
    pub(super) fn take_all(&self) -> u32 {
        swap_number(&self.first, 0, Ordering::Acquire)
    }
}
