//! The report of a replay.

use core::fmt;

/// When a replay calls its observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After as many operations as were asked for.
    Periodic,
    /// After the first operation that reaches the trace's peak of live bytes.
    Peak,
    /// After the last operation, before the blocks that are left are freed.
    End,
}

/// The position of a replay, and the errors found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Operations done.
    pub operations: u64,
    /// Blocks that are live and have memory.
    pub live_blocks: usize,
    /// The bytes of the live blocks, as the program asked for them.
    pub live_bytes: u64,
    /// The largest value of `live_bytes` so far.
    pub peak_live_bytes: u64,
    /// Allocations and reallocations that failed.
    pub failures: u64,
    /// The first failure.
    pub first_failure: Option<Failure>,
    /// Blocks with wrong contents.
    pub content_errors: u64,
    /// The first content error.
    pub first_content_error: Option<ContentError>,
}

impl Progress {
    /// Whether no request failed and every block had the right contents.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.failures == 0 && self.content_errors == 0
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failures += 1;
        self.first_failure.get_or_insert(failure);
    }

    pub(super) fn blame(&mut self, error: ContentError) {
        self.content_errors += 1;
        self.first_content_error.get_or_insert(error);
    }
}

/// A request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The offset of its record in the unpacked trace.
    pub offset: u64,
    /// The block.
    pub id: u32,
    /// Bytes asked for.
    pub size: usize,
    /// The alignment in bytes.
    pub align: usize,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "byte {} of the trace: no {} B aligned to {} for block {}",
            self.offset, self.size, self.align, self.id
        )
    }
}

/// A block with wrong contents, or at a wrong address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentError {
    /// The offset of the record at which the error was found, in the unpacked trace.
    pub offset: u64,
    /// The block.
    pub id: u32,
    /// The address of the block.
    pub address: usize,
    /// The fault.
    pub fault: Fault,
}

/// A fault of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The block does not lie at a multiple of its alignment.
    Misaligned {
        /// The alignment in bytes.
        align: usize,
    },
    /// A byte differs from the one that was written, or from zero.
    Byte {
        /// The check that found the fault.
        when: When,
        /// The byte's offset in the block.
        index: usize,
        /// The expected byte.
        expected: u8,
        /// The byte that is there.
        found: u8,
    },
}

/// The moment at which a block was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After it was allocated as zeros.
    Zeroed,
    /// Before it was reallocated.
    BeforeReallocation,
    /// After it was reallocated, up to the smaller size.
    AfterReallocation,
    /// Before it was freed.
    BeforeFree,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zeroed => "after it was allocated as zeros",
            Self::BeforeReallocation => "before it was reallocated",
            Self::AfterReallocation => "after it was reallocated",
            Self::BeforeFree => "before it was freed",
        })
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            id,
            address,
            fault,
        } = self;
        write!(f, "byte {offset} of the trace: block {id} at {address:#x}")?;
        match fault {
            Fault::Misaligned { align } => write!(f, " is not aligned to {align}"),
            Fault::Byte {
                when,
                index,
                expected,
                found,
            } => write!(
                f,
                ": its byte {index} is {found:#04x}, not {expected:#04x}, {when}"
            ),
        }
    }
}
