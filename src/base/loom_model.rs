//! The publication of sparse words, in every order that the memory model allows.
//!
//! Entries hold a tracked atomic in place of plain numbers. The writer fills a part with relaxed
//! stores, as zeroing does, and readers use relaxed loads: the order comes from the word alone.

extern crate std;

use core::mem::size_of;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc};

use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::sparse::{BlockShape, Entry, Zeroed, entry_of, publish_part};

/// An entry, as large as a power of two, so that a block can be aligned to its size.
#[derive(Debug)]
#[repr(align(64))]
struct Tracked(AtomicUsize);

const _: () = assert!(size_of::<Tracked>().is_power_of_two());

// SAFETY:
// - zero bytes are never read as an entry: tests write every entry before they publish it;
// - the entry is an atomic, and needs no drop.
unsafe impl Entry for Tracked {}

/// Four entries in two parts.
const SHAPE: BlockShape = BlockShape {
    entries: 4,
    part_entries: 2,
};

/// The value of all entries of a part that is published.
const FILLED: usize = 7;

/// A block of entries that are not filled yet.
#[derive(Clone, Copy)]
struct Block(NonNull<Tracked>);

// SAFETY: a block is memory for atomics, which any thread may use.
unsafe impl Send for Block {}

impl Block {
    /// A block. It is never freed: nor is metadata memory.
    fn new() -> Self {
        let bytes = SHAPE.block_bytes::<Tracked>();
        let layout = Layout::from_size_align(bytes, bytes).expect("a power of two");
        // SAFETY: `alloc` needs a layout that is not empty.
        let start = NonNull::new(unsafe { alloc(layout) }).expect("memory");
        let block = Self(start.cast());
        for index in 0..SHAPE.entries {
            // SAFETY: `write` needs
            // - memory that may be written: the entry lies in the block;
            // - alignment: the block is aligned to its size.
            unsafe { block.entry(index).write(Tracked(AtomicUsize::new(0))) };
        }
        block
    }

    fn entry(self, index: usize) -> NonNull<Tracked> {
        assert!(index < SHAPE.entries, "an entry of the block");
        // SAFETY: `add` needs a result inside the block, which has more than `index` entries.
        unsafe { self.0.add(index) }
    }

    /// Fills a part.
    fn fill(self, part: usize) -> Zeroed<Tracked> {
        let first = part * SHAPE.part_entries;
        for index in first..first + SHAPE.part_entries {
            // SAFETY: `as_ref` needs
            // - an aligned, initialised entry: `new` has written every entry of the block;
            // - no exclusive reference: entries are only used through shared ones.
            let entry = unsafe { self.entry(index).as_ref() };
            entry.0.store(FILLED, Ordering::Relaxed);
        }
        // SAFETY: `Zeroed::new` needs
        // - alignment, as the block has it;
        // - entries that stay: blocks are never freed;
        // - no other reference: those above have ended.
        unsafe { Zeroed::new(self.entry(first), SHAPE.part_entries) }
    }

    /// Publishes as [`publish_part`] does, with an order that is too weak.
    fn publish_relaxed(self, word: &AtomicPtr<u8>, part: usize) {
        let _fresh = self.fill(part);
        let bits = word.load(Ordering::Relaxed).addr() & 0b11;
        let start = self.0.as_ptr().cast::<u8>();
        let tagged = start.map_addr(|addr| addr | bits | 1 << part);
        word.store(tagged, Ordering::Relaxed);
    }
}

type SharedWord = Arc<AtomicPtr<u8>>;

fn word() -> SharedWord {
    Arc::new(AtomicPtr::new(ptr::null_mut()))
}

/// Looks at one entry of each part, and returns which parts were there.
fn look(word: &AtomicPtr<u8>) -> [bool; 2] {
    [1, 0].map(|part| {
        let entry = entry_of::<Tracked>(word, SHAPE, part * SHAPE.part_entries + 1);
        if let Some(entry) = entry {
            let seen = entry.0.load(Ordering::Relaxed);
            assert_eq!(seen, FILLED, "an entry is seen before its contents");
        }
        entry.is_some()
    })
}

/// Runs `publish` beside a reader. The writer is the first thread: when a thread loads before it
/// stores, as a writer does, loom forgets the loads of other threads, and would not try the
/// reader's load at other moments.
fn beside_a_reader(publish: fn(Block, &AtomicPtr<u8>)) {
    loom::model(move || {
        let (word, block) = (word(), Block::new());
        let reader = {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                let [second, first] = look(&word);
                assert!(
                    first || !second,
                    "parts are seen in the order of publication"
                );
            })
        };
        publish(block, &word);
        reader.join().expect("the reader sees what it should");
        assert_eq!(look(&word), [true, true], "both parts stay");
    });
}

#[test]
fn a_reader_that_sees_an_entry_sees_its_contents() {
    beside_a_reader(|block, word| {
        publish_part(word, SHAPE, 0, block.fill(0));
        publish_part(word, SHAPE, 1, block.fill(1));
    });
}

#[test]
#[should_panic(expected = "an entry is seen before its contents")]
fn a_relaxed_publication_is_caught() {
    beside_a_reader(|block, word| {
        block.publish_relaxed(word, 0);
        block.publish_relaxed(word, 1);
    });
}

/// The second publication must carry the first one's contents along: its store takes the place of
/// the one before.
#[test]
#[should_panic(expected = "an entry is seen before its contents")]
fn a_relaxed_publication_after_a_good_one_is_caught() {
    beside_a_reader(|block, word| {
        publish_part(word, SHAPE, 0, block.fill(0));
        block.publish_relaxed(word, 1);
    });
}

/// Runs two writers of a part each through `serialise`.
fn two_writers(serialise: fn(&Mutex<()>, &dyn Fn())) {
    loom::model(move || {
        let (word, block, gate) = (word(), Block::new(), Arc::new(Mutex::new(())));
        let writers = [0, 1].map(|part| {
            let (word, gate) = (Arc::clone(&word), Arc::clone(&gate));
            thread::spawn(move || {
                serialise(&gate, &|| {
                    publish_part(&word, SHAPE, part, block.fill(part))
                });
            })
        });
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!(look(&word), [true, true], "a part was lost");
    });
}

#[test]
fn writers_in_one_gate_lose_nothing() {
    two_writers(|gate, publish| {
        let _pass = gate.lock().expect("no panic");
        publish();
    });
}

#[test]
#[should_panic(expected = "a part was lost")]
fn writers_without_a_gate_are_caught() {
    two_writers(|_, publish| publish());
}
