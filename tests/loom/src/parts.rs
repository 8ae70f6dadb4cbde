//! The publication of parts of a block by its word (`src/base/sparse.rs`).

use alloc::collections::BTreeSet;
use core::ptr;

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::base::sparse::{BlockShape, Zeroed, entry_of, publish_part};
use crate::base::sync::{AtomicPtr, CoreUsize, Ordering};
use crate::memory::{self, Memory};
use crate::planted::{self, Site};

/// The store that publishes a part.
pub const PUBLISH: Site = Site {
    file: "src/base/sparse.rs",
    function: "publish_part",
};

/// The load that finds an entry.
pub const FIND: Site = Site {
    file: "src/base/sparse.rs",
    function: "find_entry",
};

/// Four entries in two parts.
const SHAPE: BlockShape = BlockShape {
    entries: 4,
    part_entries: 2,
};

/// The value of all entries of a part that is published.
const FILLED: usize = 7;

/// A word, and the block that it names.
struct Block {
    word: AtomicPtr<u8>,
    entries: Memory,
}

impl Block {
    /// A block of which no part is published.
    fn new() -> Arc<Self> {
        let bytes = SHAPE.block_bytes::<CoreUsize>();
        let block = Arc::new(Self {
            word: AtomicPtr::new(ptr::null_mut()),
            entries: Memory::aligned(bytes, bytes),
        });
        memory::make_fresh(ptr::from_ref(&block.word).addr(), size_of::<usize>());
        block
    }

    /// Zeroes a part and publishes it. Entries are filled by relaxed stores, so that the order
    /// comes from the word alone.
    fn publish(&self, part: usize) {
        let bytes = SHAPE.part_bytes::<CoreUsize>();
        let start = self.entries.fresh(part * bytes, bytes).cast::<CoreUsize>();
        for index in 0..SHAPE.part_entries {
            // SAFETY: the part has that many entries.
            let entry = unsafe { start.add(index) };
            // SAFETY: the entry is aligned, zero is a number, and nobody else knows of it.
            let entry = unsafe { entry.as_ref() };
            entry.store(FILLED, Ordering::Relaxed);
        }
        // SAFETY: the entries are aligned, stay for the length of the model, and are known to
        // nobody yet.
        let filled = unsafe { Zeroed::<CoreUsize>::new(start, SHAPE.part_entries) };
        publish_part(&self.word, SHAPE, part, filled);
    }

    /// Looks at one entry of each part, and returns which parts were there.
    fn look(&self) -> [bool; 2] {
        [1, 0].map(|part| {
            let index = part * SHAPE.part_entries + 1;
            let entry = entry_of::<CoreUsize>(&self.word, SHAPE, index);
            if let Some(entry) = entry {
                let seen = entry.load(Ordering::Relaxed);
                assert_eq!(seen, FILLED, "an entry is seen before its contents");
            }
            entry.is_some()
        })
    }
}

/// Publishes both parts beside a reader; from part `from` on, `site` is weak. Returns which parts
/// the reader saw.
///
/// The writer is the first thread: when a thread loads before it stores, as a writer does, loom
/// forgets the loads of other threads, and would not try the reader's load at other moments.
pub fn beside_a_reader(site: Option<Site>, from: usize) -> BTreeSet<[bool; 2]> {
    planted::explore(None, move |outcomes| {
        let block = Block::new();
        let reader = {
            let (block, outcomes) = (Arc::clone(&block), outcomes.clone());
            thread::spawn(move || {
                let [second, first] = block.look();
                outcomes.note([first, second]);
                assert!(
                    first || !second,
                    "parts are seen in the order of publication"
                );
            })
        };
        for part in 0..2 {
            planted::plant(site.filter(|_| part >= from));
            block.publish(part);
        }
        reader.join().expect("the reader sees what it should");
        planted::plant(None);
        assert_eq!(block.look(), [true, true], "both parts stay");
    })
}

/// Two writers publish a part each, in one gate or without it.
pub fn two_writers(have_gate: bool) {
    planted::explore::<()>(None, move |_| {
        let (block, gate) = (Block::new(), Arc::new(Mutex::new(())));
        let writers = [0, 1].map(|part| {
            let (block, gate) = (Arc::clone(&block), Arc::clone(&gate));
            thread::spawn(move || {
                let pass = have_gate.then(|| gate.lock());
                block.publish(part);
                drop(pass);
            })
        });
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!(block.look(), [true, true], "a part was lost");
    });
}
