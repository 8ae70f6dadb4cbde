//! The faults of a trace, and their positions.

use core::fmt;

/// The fault that makes a trace useless, and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// The fault.
    pub kind: TraceErrorKind,
    /// The offset in bytes: in the file if the gzip file is at fault, in the unpacked trace if a
    /// record is.
    pub offset: u64,
}

/// A fault of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceErrorKind {
    /// There are no records.
    Empty,
    /// The gzip file ends early.
    FileTruncated,
    /// The gzip file is packed by a method other than deflate.
    Method {
        /// The method that the header names.
        method: u8,
    },
    /// The gzip header has flags that are reserved.
    ReservedFlags {
        /// All flags of the header.
        flags: u8,
    },
    /// The gzip header does not have the checksum it states.
    HeaderChecksum {
        /// The checksum that the file states.
        stated: u16,
        /// The checksum of the header as it is.
        computed: u16,
    },
    /// The packed data is not what deflate produces.
    Deflate,
    /// The unpacked trace does not have the CRC-32 that the file states.
    Checksum {
        /// The checksum that the file states.
        stated: u32,
        /// The checksum of the trace as it is.
        computed: u32,
    },
    /// The unpacked trace is not as long as the file states.
    Length {
        /// The length that the file states, in bytes modulo 2^32.
        stated: u32,
        /// The length of the trace as it is, in bytes modulo 2^32.
        unpacked: u32,
    },
    /// More data follows the end of the gzip file.
    DataAfterEnd,
    /// The last record is not whole.
    RecordTruncated {
        /// The bytes of the record that are there.
        bytes: usize,
    },
    /// The record has an operation that does not exist.
    UnknownOperation {
        /// The number of the operation.
        operation: u8,
    },
    /// The block is aligned to more than 2^31.
    Alignment {
        /// The logarithm of the alignment.
        log2_align: u8,
    },
    /// A free states a size other than 0.
    FreeOfSize {
        /// The size.
        size: u32,
    },
    /// The block is to be allocated, but it is live.
    AlreadyLive {
        /// The block.
        id: u32,
    },
    /// The block is to be reallocated or freed, but it was never allocated.
    NeverAllocated {
        /// The block.
        id: u32,
    },
    /// The block is to be reallocated or freed, but it was freed.
    Freed {
        /// The block.
        id: u32,
    },
    /// The id is beyond the end of the caller's table.
    TableTooShort {
        /// The block.
        id: u32,
        /// Blocks that the table has room for.
        blocks: usize,
    },
    /// The block, rounded up to its alignment, is larger than this machine's address space allows.
    BlockTooLarge {
        /// Bytes.
        size: u32,
        /// The logarithm of the alignment.
        log2_align: u8,
    },
}

impl TraceErrorKind {
    /// Whether the offset is of the gzip file, not of the unpacked trace.
    #[must_use]
    pub const fn is_of_file(&self) -> bool {
        matches!(
            self,
            Self::FileTruncated
                | Self::Method { .. }
                | Self::ReservedFlags { .. }
                | Self::HeaderChecksum { .. }
                | Self::Deflate
                | Self::Checksum { .. }
                | Self::Length { .. }
                | Self::DataAfterEnd
        )
    }
}

impl fmt::Display for TraceErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => write!(f, "there are no records"),
            Self::FileTruncated => write!(f, "the gzip file ends early"),
            Self::Method { method } => write!(f, "packed by method {method}, not by deflate"),
            Self::ReservedFlags { flags } => write!(f, "gzip flags {flags:#04x} are reserved"),
            Self::HeaderChecksum { stated, computed } => write!(
                f,
                "the gzip header's checksum is {computed:#06x}, not {stated:#06x} as it states"
            ),
            Self::Deflate => write!(f, "the packed data is damaged"),
            Self::Checksum { stated, computed } => write!(
                f,
                "the trace's CRC-32 is {computed:#010x}, not {stated:#010x} as the file states"
            ),
            Self::Length { stated, unpacked } => write!(
                f,
                "the trace has {unpacked} bytes, not {stated} as the file states"
            ),
            Self::DataAfterEnd => write!(f, "data follows the end of the gzip file"),
            Self::RecordTruncated { bytes } => write!(f, "the last record has {bytes} bytes of 12"),
            Self::UnknownOperation { operation } => write!(f, "there is no operation {operation}"),
            Self::Alignment { log2_align } => write!(f, "an alignment of 2^{log2_align}"),
            Self::FreeOfSize { size } => write!(f, "a free of size {size}, not 0"),
            Self::AlreadyLive { id } => write!(f, "block {id} is allocated, but it is live"),
            Self::NeverAllocated { id } => write!(f, "block {id} was never allocated"),
            Self::Freed { id } => write!(f, "block {id} was freed before"),
            Self::TableTooShort { id, blocks } => {
                write!(f, "block {id}, but there is room for {blocks} only")
            }
            Self::BlockTooLarge { size, log2_align } => write!(
                f,
                "{size} B aligned to 2^{log2_align} are too large for this machine"
            ),
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.kind.is_of_file() {
            "file"
        } else {
            "unpacked trace"
        };
        write!(f, "byte {} of the {of}: {}", self.offset, self.kind)
    }
}

impl core::error::Error for TraceError {}
