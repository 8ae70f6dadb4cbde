//! Sparse tables: the mechanism of the arena index, the page maps and the summary tree.
//!
//! A [`Word`] names a block of entries and says which parts of the block are
//! Ready, so that a table indexed by address takes memory for its used parts alone, and an entry
//! without memory is never touched. A block of several parts starts at a multiple of its own size;
//! the low bits of its address, which are therefore zero, say which of its parts are Ready: 16 bits
//! for 16 parts of 4 KiB in 64 KiB.
//!
//! A part goes from absent to Ready once, zero-filled, published with Release, and never back;
//! readers load the word with Acquire and take no lock. Absent reads as "nothing here".
//!
//! Blocks lie in metadata memory; those of the heap bitmap, of one part each, lie in pages of the
//! heap. Only these are taken back, with `take_part_back`: a part that has no reader.

use core::marker::PhantomData;
use core::mem::size_of;
use core::ptr::NonNull;

use super::sync::{AtomicPtr, AtomicU32, CoreUsize, Ordering};

/// A type that may live in metadata memory.
///
/// # Safety
/// - All-zero bytes are a valid value;
/// - values are shared between CPUs through atomics alone;
/// - values need no drop.
pub(crate) unsafe trait Entry: Sync + 'static {}

// SAFETY:
// - zero is a number;
// - the type is an atomic;
// - numbers need no drop.
unsafe impl Entry for CoreUsize {}
// SAFETY:
// - zero is a number;
// - the type is an atomic;
// - numbers need no drop.
unsafe impl Entry for AtomicU32 {}
// SAFETY:
// - an array is zero when each entry is;
// - each entry is shared through atomics alone;
// - no entry needs a drop, and so neither does the array.
unsafe impl<T: Entry, const N: usize> Entry for [T; N] {}
// SAFETY:
// - a null link names nothing;
// - a link is an atomic;
// - pointers need no drop.
unsafe impl<N: Entry, L: Entry> Entry for Link<N, L> {}
// SAFETY:
// - a null word names no block;
// - a word is an atomic;
// - pointers need no drop.
unsafe impl<T: Entry> Entry for Word<T> {}

/// Memory for `count` entries, which is Ready, zero-filled, aligned for `T`, and exclusive to the
/// holder for as long as the heap lives, or until it is taken back from a word without readers.
#[derive(Debug)]
pub(crate) struct Zeroed<T> {
    start: NonNull<T>,
    count: usize,
}

impl<T: Entry> Zeroed<T> {
    /// Takes memory as fresh.
    ///
    /// # Safety
    /// - `start` is aligned for `T`;
    /// - the `count` entries from `start` are Ready and zero, and stay Ready, those that a word
    ///   publishes until they are taken back from it;
    /// - nothing else refers to them.
    pub(crate) unsafe fn new(start: NonNull<T>, count: usize) -> Self {
        Self { start, count }
    }

    /// The first entry.
    pub(crate) fn into_entry(self) -> &'static T {
        debug_assert!(self.count > 0, "there is an entry");
        // SAFETY: `as_ref` needs, for `'static`,
        // - alignment and Ready memory: promised to `new`;
        // - a valid `T`: zero is one, as `Entry` promises;
        // - no exclusive reference: promised to `new`, and `self` is consumed.
        unsafe { self.start.as_ref() }
    }

    /// The entries.
    pub(crate) fn into_slice(self) -> &'static [T] {
        // SAFETY: `from_raw_parts` needs, for `'static`,
        // - alignment and Ready memory of `count` entries in one allocation: promised to `new`;
        // - valid values: zero is one, as `Entry` promises;
        // - no writes but through atomics: promised to `new` and by `Entry`.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

/// How the entries of a block are divided into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockShape {
    /// Entries of the block, a power of two.
    pub(crate) entries: usize,
    /// Entries of one part, a power of two.
    pub(crate) part_entries: usize,
}

impl BlockShape {
    /// Divides `entries` entries of type `T` into parts of at most `part_bytes` bytes, doubled
    /// until the bits for the parts fit below the block's alignment.
    pub(crate) const fn new<T>(entries: usize, part_bytes: usize) -> Self {
        let mut part_entries = part_bytes / size_of::<T>();
        if part_entries == 0 {
            part_entries = 1;
        }
        if part_entries > entries {
            part_entries = entries;
        }
        while entries / part_entries > (entries * size_of::<T>()).trailing_zeros() as usize {
            part_entries *= 2;
        }
        Self {
            entries,
            part_entries,
        }
    }

    /// The bits of a word that say which parts are Ready.
    const fn tag_mask(self) -> usize {
        (1 << (self.entries / self.part_entries)) - 1
    }

    /// Bytes of the block, and its alignment if it has several parts.
    pub(crate) const fn block_bytes<T>(self) -> usize {
        self.entries * size_of::<T>()
    }

    /// Bytes of one part.
    pub(crate) const fn part_bytes<T>(self) -> usize {
        self.part_entries * size_of::<T>()
    }
}

/// Names a block of entries and says which of its parts are Ready.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word<T> {
    tagged: AtomicPtr<u8>,
    entries: PhantomData<fn() -> T>,
}

impl<T: Entry> Word<T> {
    /// Entry `index` of a block of `shape`, if its part is Ready.
    #[inline]
    pub(crate) fn entry(&self, shape: BlockShape, index: usize) -> Option<&T> {
        entry_of(&self.tagged, shape, index)
    }

    /// Entries `first..first + count` of a block of `shape`, if they lie in one part and it is
    /// Ready.
    pub(crate) fn entries(&self, shape: BlockShape, first: usize, count: usize) -> Option<&[T]> {
        if count > shape.part_entries - first % shape.part_entries {
            return None;
        }
        let start = find_entry::<T>(&self.tagged, shape, first)?;
        // SAFETY: `from_raw_parts` needs
        // - `count` aligned, initialised entries from `start`: they lie in the part of `first`,
        //   which was published whole;
        // - no writes but through atomics, as `Entry` promises.
        Some(unsafe { core::slice::from_raw_parts(start, count) })
    }

    /// The entries of a block of `shape` from `first` to the end of its part; none if it is not
    /// Ready.
    ///
    /// # Safety
    /// The part is not taken back as long as the entries are borrowed.
    #[cfg(feature = "heap-bits")]
    #[inline]
    pub(crate) unsafe fn entries_from(&self, shape: BlockShape, first: usize) -> &[T] {
        let count = shape.part_entries - first % shape.part_entries;
        let Some(start) = find_entry::<T>(&self.tagged, shape, first) else {
            return &[];
        };
        // SAFETY: `from_raw_parts` needs
        // - `count` aligned, initialised entries from `start`: they lie in the part of `first`,
        //   which was published whole, and which is not taken back, as the caller promises;
        // - no writes but through atomics, as `Entry` promises.
        unsafe { core::slice::from_raw_parts(start, count) }
    }

    /// The untyped word, as [`entry_of`] and [`publish_part`] take it.
    pub(crate) fn raw(&self) -> &AtomicPtr<u8> {
        &self.tagged
    }
}

/// Entry `index` of the block that `word` names, if its part is Ready. One load, then arithmetic.
///
/// A word holds entries of one type and one shape for as long as it lives; [`publish_part`] put
/// them there.
#[inline]
pub(crate) fn entry_of<T: Entry>(
    word: &AtomicPtr<u8>,
    shape: BlockShape,
    index: usize,
) -> Option<&T> {
    let entry = find_entry::<T>(word, shape, index)?;
    // SAFETY: a reference needs
    // - an aligned place that stays Ready: `find_entry` returns that of a published entry;
    // - a valid value: its Acquire load saw the Release store that followed the zeroing;
    // - no writes but through atomics, as `Entry` promises.
    Some(unsafe { &*entry })
}

/// The pointer to entry `index`, never null, if its part is Ready.
#[inline]
fn find_entry<T: Entry>(word: &AtomicPtr<u8>, shape: BlockShape, index: usize) -> Option<*const T> {
    let tagged = word.load(Ordering::Acquire);
    let part = index / shape.part_entries;
    if index >= shape.entries || tagged.addr() >> part & 1 == 0 {
        return None;
    }
    let base = tagged.map_addr(|addr| addr & !shape.tag_mask());
    // SAFETY: `add` needs a result inside the allocation: `index` is below the block's entries, and
    // the block lies in memory of one window, all of which the pointer was made for.
    let entry = unsafe { base.cast::<T>().add(index) };
    // SAFETY: the part's bit is set, so the block has an address, and no window reaches address 0.
    unsafe { core::hint::assert_unchecked(!entry.is_null()) };
    Some(entry)
}

/// Publishes part `part` of the block that `word` names.
///
/// # Locks
/// The caller is in the growth gate, which serialises writers, so that the word is stored without
/// compare-and-swap.
pub(crate) fn publish_part<T: Entry>(
    word: &AtomicPtr<u8>,
    shape: BlockShape,
    part: usize,
    memory: Zeroed<T>,
) {
    debug_assert_eq!(
        memory.count, shape.part_entries,
        "a part is published whole"
    );
    let before = word.load(Ordering::Relaxed);
    let start = memory.start.as_ptr().cast::<u8>();
    let base = start.map_addr(|addr| addr.wrapping_sub(part * shape.part_bytes::<T>()));
    debug_assert_eq!(
        base.addr() & shape.tag_mask(),
        0,
        "a block is aligned to its size"
    );
    let bits = before.addr() & shape.tag_mask();
    debug_assert_eq!(bits >> part & 1, 0, "a part is published once");
    word.store(
        base.map_addr(|addr| addr | bits | 1 << part),
        Ordering::Release,
    );
}

/// Marks part `part` of the block that `word` names as not Ready.
///
/// # Safety
/// - The part has no reader, and gets none until it is published again or [`give_part_again`] was
///   called.
/// - The caller is in the growth gate, which serialises writers.
#[cfg(feature = "heap-bits")]
pub(crate) unsafe fn take_part_back(word: &AtomicPtr<u8>, part: usize) {
    let before = word.load(Ordering::Relaxed);
    debug_assert_eq!(before.addr() >> part & 1, 1, "a part is Ready before that");
    word.store(
        before.map_addr(|addr| addr & !(1 << part)),
        Ordering::Release,
    );
}

/// Undoes [`take_part_back`].
///
/// # Safety
/// - The part was taken back, and its memory is Ready still.
/// - The caller is in the growth gate, which serialises writers.
#[cfg(feature = "heap-bits")]
pub(crate) unsafe fn give_part_again(word: &AtomicPtr<u8>, part: usize) {
    let before = word.load(Ordering::Relaxed);
    word.store(before.map_addr(|addr| addr | 1 << part), Ordering::Release);
}

/// Whether part `part` of the block that `word` names is Ready. If so, its zeroes are seen from now
/// on.
pub(crate) fn has_part(word: &AtomicPtr<u8>, part: usize) -> bool {
    word.load(Ordering::Acquire).addr() >> part & 1 != 0
}

/// The start of the block that `word` names, or `None` before its first part was published.
pub(crate) fn block_base(word: &AtomicPtr<u8>, shape: BlockShape) -> Option<NonNull<u8>> {
    NonNull::new(word.load(Ordering::Acquire))
        .and_then(|tagged| NonNull::new(tagged.as_ptr().map_addr(|addr| addr & !shape.tag_mask())))
}

/// Names a node's child: another node or, at the lowest level, a leaf. A tag says which of the two,
/// so that one word serves for both.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Link<N, L> {
    tagged: AtomicPtr<u8>,
    named: PhantomData<fn() -> (N, L)>,
}

/// Tags in the low bits of a link's aligned address: the kind of the child.
const IS_NODE: usize = 1;
const IS_LEAF: usize = 2;

impl<N: Entry, L: Entry> Link<N, L> {
    /// A link that names nothing.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "made for array initialisers"
    )]
    pub(crate) const EMPTY: Self = Self {
        tagged: AtomicPtr::new(core::ptr::null_mut()),
        named: PhantomData,
    };

    /// The node that the link names.
    #[inline]
    pub(crate) fn node(&self) -> Option<&'static N> {
        self.named(IS_NODE)
    }

    /// The leaf that the link names.
    #[inline]
    pub(crate) fn leaf(&self) -> Option<&'static L> {
        self.named(IS_LEAF)
    }

    /// Publishes a node. The link named nothing.
    pub(crate) fn publish_node(&self, memory: Zeroed<N>) -> &'static N {
        self.publish(memory, IS_NODE)
    }

    /// Publishes a leaf. The link named nothing.
    pub(crate) fn publish_leaf(&self, memory: Zeroed<L>) -> &'static L {
        self.publish(memory, IS_LEAF)
    }

    #[inline]
    fn named<T: Entry>(&self, tag: usize) -> Option<&'static T> {
        let tagged = self.tagged.load(Ordering::Acquire);
        if tagged.addr() & tag == 0 {
            return None;
        }
        let entry = tagged.map_addr(|addr| addr & !(IS_NODE | IS_LEAF));
        // SAFETY: a reference needs, for `'static`,
        // - an aligned place that stays Ready: the tag says that a `T` was published there, in
        //   memory that `publish` took for as long as the heap lives;
        // - a valid value: the Acquire load saw the Release store that followed the zeroing;
        // - no writes but through atomics, as `Entry` promises.
        Some(unsafe { &*entry.cast::<T>() })
    }

    fn publish<T: Entry>(&self, memory: Zeroed<T>, tag: usize) -> &'static T {
        const {
            assert!(
                align_of::<T>() > IS_NODE | IS_LEAF,
                "there is room for a tag"
            );
        }
        debug_assert!(
            self.tagged.load(Ordering::Relaxed).is_null(),
            "a link is published once"
        );
        let entry = memory.into_entry();
        let start = core::ptr::from_ref(entry).cast_mut().cast::<u8>();
        self.tagged
            .store(start.map_addr(|addr| addr | tag), Ordering::Release);
        entry
    }
}

/// A node of a sparse tree with fan-out 8: a value for each child, and the children, which are
/// nodes themselves or, at the lowest level, the leaves.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Node<V, L> {
    /// A value for each child.
    pub(crate) values: [V; 8],
    /// The children.
    pub(crate) links: [Link<Node<V, L>, L>; 8],
}

// SAFETY:
// - a node is zero when its entries are;
// - each field is shared through atomics alone;
// - no field needs a drop.
unsafe impl<V: Entry, L: Entry> Entry for Node<V, L> {}
