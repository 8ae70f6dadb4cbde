//! The `Machine` trait: address space, and the memory that backs it.

use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicPtr;

use crate::{
    Busy, CommitError, Geometry, PhysAddr, PrepareError, ReserveError, VirtAddr, VirtRange,
};

/// Whether a call may wait for the machine's locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Wait.
    Wait,
    /// Try each lock once and return `Busy` if it is taken: the caller may have interrupted its
    /// holder.
    Try,
}

/// The contents of memory that became Ready, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Every byte is zero.
    Zeroed,
    /// The contents are unknown.
    Unknown,
}

/// Frames that a machine has allocated and that do not back Ready memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Frames that hold page tables which the machine made for the heap.
    pub table_frames: usize,
    /// Frames in stock that the allocator would not take back, which are used first, and frames
    /// that could not be given back yet because a lock was busy, which the next call gives back.
    pub held_frames: usize,
}

/// A machine on which a heap runs: it owns the address space of the heap's windows and the memory
/// that backs it. Every range is a multiple of the granule in base and length and is never empty.
/// Windows that are adjacent are one piece: a range, and an object, may reach from one into the
/// next.
///
/// The six calls that move a range from one state to another are its **transitions**. One runs at a
/// time: whoever calls one promises that no other transition of this value runs meanwhile. The heap
/// queues its calls, and once it has the machine, nobody else can promise that. Several values that
/// stand for one machine can be given to several heaps, whose calls come at any time.
///
/// The heap calls with none of its locks held and with interrupts as its own caller left them.
/// Within a call, a machine may allocate from the heap with
/// [`AllocFlags::ATOMIC`](crate::AllocFlags::ATOMIC) alone, and free at will; any other request is
/// reported.
///
/// # Safety
/// The heap hands the memory out on the word of its machine. An implementor promises that:
/// - after a successful `commit`, every byte of the range can be read and written through
///   [`pointer`](Self::pointer) on every CPU, is shared with nothing else, and stays so until
///   `decommit`, `fault` or `release`;
/// - after a successful `commit_adjacent` that is so, too, and the frames lie where it says;
/// - memory reported as [`Contents::Zeroed`] is zero;
/// - a failed call leaves the whole range in the state it was in;
/// - after `decommit`, `fault` and `release` no CPU's translation of the range remains;
/// - [`pointer`](Self::pointer) and [`address`](Self::address) are inverse to each other inside a
///   window; a pointer has the provenance of its window and of those adjacent to it, and is aligned
///   as its address is.
pub unsafe trait Machine: Send + Sync + 'static {
    /// The shape of the address space.
    const GEOMETRY: Geometry;

    /// Whether [`decommit`](Self::decommit) makes memory available to others, as it does where
    /// there is an MMU. Where the windows are the memory, this is `false`: the heap then makes no
    /// page Ready before a request needs it, and never decommits one.
    const DECOMMITS: bool = true;

    /// Whether [`prepare`](Self::prepare), [`commit`](Self::commit), [`decommit`](Self::decommit)
    /// and [`fault`](Self::fault) can be refused. Where this is `false` they always succeed, and
    /// code that undoes steps is left out.
    const REFUSES: bool = true;

    /// Bytes of a word, the unit in which a pointer lies in memory: 4 or 8. What describes where
    /// the pointers are counts in words.
    const WORD_BYTES: usize = size_of::<usize>();

    /// Whether the address of every pointer is the pointer's own number, as it is where the machine
    /// that the heap runs on is the one that it manages. Frees then need not ask for it.
    const POINTERS_ARE_ADDRESSES: bool = false;

    /// Storage for the first level of the arena index: `[IndexWord; N]` with N =
    /// 2^`index_root_shift`.
    type IndexRoot: IndexRoot;

    /// From None to Reserved: takes exactly this range of address space. It needs no memory.
    ///
    /// # Errors
    /// The range is in state None, as before.
    /// # Safety
    /// No other transition of this value runs meanwhile. It is the one promise that every
    /// transition asks for; the others ask for the state of the range as well.
    unsafe fn reserve(&self, range: VirtRange, patience: Patience) -> Result<(), ReserveError>;

    /// From Reserved to Prepared: makes page tables down to the last level, so that
    /// [`commit`](Self::commit) can fail only for want of frames.
    ///
    /// # Errors
    /// The whole range is Reserved, as before, and the tables made for it are gone.
    /// # Safety
    /// The whole range is Reserved.
    unsafe fn prepare(&self, range: VirtRange, patience: Patience) -> Result<(), PrepareError>;

    /// From Prepared to Ready: backs the range with frames, read-write and never executable.
    ///
    /// # Errors
    /// The whole range is Prepared, as before.
    /// # Safety
    /// The whole range is Prepared.
    unsafe fn commit(&self, range: VirtRange, patience: Patience) -> Result<Contents, CommitError>;

    /// From Prepared to Ready, with adjacent frames, the first of which begins at a multiple of
    /// `align` bytes, a power of two and at least a granule. Returns the physical address of the
    /// first. The contents of the memory are unknown.
    ///
    /// The provided method refuses: by default nothing is promised about where frames lie.
    ///
    /// # Errors
    /// The whole range is Prepared, as before.
    /// # Safety
    /// The whole range is Prepared.
    unsafe fn commit_adjacent(
        &self,
        range: VirtRange,
        align: usize,
        patience: Patience,
    ) -> Result<PhysAddr, CommitError> {
        let _ = (align, patience);
        let needed = range.bytes() >> Self::GEOMETRY.granule_shift;
        Err(CommitError::Adjacent { needed })
    }

    /// From Ready to Prepared: takes the frames away and returns them; page tables stay. The
    /// contents are lost.
    ///
    /// # Errors
    /// [`Busy`], only under [`Patience::Try`]: the whole range is Ready, as before.
    /// # Safety
    /// - The whole range is Ready.
    /// - Nothing uses it any more.
    unsafe fn decommit(&self, range: VirtRange, patience: Patience) -> Result<(), Busy>;

    /// From Ready or Prepared to Reserved: takes frames and page tables away. The range may mix
    /// the two states. A table that also serves addresses outside the range stays until those are
    /// gone.
    ///
    /// # Errors
    /// [`Busy`], only under [`Patience::Try`]: the range is as it was.
    /// # Safety
    /// - Every granule of the range is Ready or Prepared.
    /// - Nothing uses it any more.
    unsafe fn fault(&self, range: VirtRange, patience: Patience) -> Result<(), Busy>;

    /// From any state to None: gives back frames, page tables and address space. The range may mix
    /// states.
    ///
    /// # Errors
    /// [`Busy`], only under [`Patience::Try`]: the range is as it was.
    /// # Safety
    /// - The range was reserved.
    /// - Nothing uses it any more.
    unsafe fn release(&self, range: VirtRange, patience: Patience) -> Result<(), Busy>;

    /// The pointer to `addr`, an address other than 0 inside a reserved window, with the provenance
    /// of that window. For any other address the result must not be dereferenced. Takes no lock.
    fn pointer(&self, addr: VirtAddr) -> NonNull<u8>;

    /// The address of `pointer`, or `None` if no window can hold it. Any pointer whatsoever may be
    /// asked about. Takes no lock.
    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr>;

    /// Frames allocated that do not back Ready memory. A machine without page tables and without a
    /// stock has none. Takes no lock that a caller of the heap may hold: statistics can be read
    /// from anywhere, also from within a call of the machine.
    fn footprint(&self) -> Footprint {
        Footprint::default()
    }
}

/// One word of the arena index: it names a second-level table and says which of its parts are
/// Ready.
pub type IndexWord = AtomicPtr<u8>;

/// Storage for the first level of the arena index. Stable Rust takes no array whose length is an
/// associated const; the machine names the array, and the heap checks its length at compile time.
///
/// The heap follows the words to tables, whatever address is looked up, and nothing else may write
/// to them. So the trait is sealed: arrays of words are its only implementors.
///
/// ```
/// use archipelago_api::{IndexRoot, IndexWord};
///
/// struct Roots {
///     words: [IndexWord; 4],
/// }
///
/// fn words(roots: &Roots) -> &[IndexWord] {
///     IndexRoot::words(&roots.words)
/// }
/// # let roots = Roots { words: <[IndexWord; 4]>::EMPTY };
/// # assert_eq!(words(&roots).len(), <[IndexWord; 4]>::LEN);
/// ```
///
/// ```compile_fail,E0277
/// use archipelago_api::{IndexRoot, IndexWord};
///
/// struct Roots {
///     words: [IndexWord; 4],
/// }
///
/// impl IndexRoot for Roots {
///     const LEN: usize = 4;
///     const EMPTY: Self = Self { words: IndexRoot::EMPTY };
///
///     fn words(&self) -> &[IndexWord] {
///         IndexRoot::words(&self.words) // Any words: of a table that the heap did not make.
///     }
/// }
/// ```
pub trait IndexRoot: sealed::Sealed + Send + Sync + 'static {
    /// The number of words.
    const LEN: usize;
    /// All words empty.
    const EMPTY: Self;
    /// The words.
    fn words(&self) -> &[IndexWord];
}

impl<const N: usize> IndexRoot for [IndexWord; N] {
    const LEN: usize = N;
    const EMPTY: Self = [const { AtomicPtr::new(ptr::null_mut()) }; N];

    fn words(&self) -> &[IndexWord] {
        self
    }
}

mod sealed {
    /// The storage that the heap can rely on.
    pub trait Sealed {}

    impl<const N: usize> Sealed for [super::IndexWord; N] {}
}
