//! The trace format: records of twelve bytes, plain or gzip.

mod error;
mod gzip;
mod reader;
mod summary;

pub use error::{TraceError, TraceErrorKind};
pub use gzip::Workspace;
pub use reader::Trace;
pub use summary::{Summary, blocks_needed, validate};

/// Bytes of a record.
pub const RECORD_BYTES: usize = 12;

/// One operation of a trace, with its position and thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The offset of the record's first byte in the unpacked trace.
    pub offset: u64,
    /// The thread that asked for it.
    pub thread: u16,
    /// The number of the block.
    pub id: u32,
    /// The request for the block.
    pub operation: Operation,
}

/// A request for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Allocates the block.
    Allocate {
        /// Bytes, possibly none.
        size: u32,
        /// The binary logarithm of the alignment, at most 31.
        log2_align: u8,
        /// Whether the bytes have to be zero.
        zeroed: bool,
    },
    /// Changes the size of the block, which keeps its id, its alignment, and its contents up to the
    /// smaller size.
    Reallocate {
        /// Bytes from now on.
        size: u32,
    },
    /// Frees the block.
    Free,
}

impl Record {
    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`UnknownOperation`](TraceErrorKind::UnknownOperation),
    /// [`Alignment`](TraceErrorKind::Alignment) or [`FreeOfSize`](TraceErrorKind::FreeOfSize).
    pub fn parse(bytes: [u8; RECORD_BYTES], offset: u64) -> Result<Self, TraceError> {
        let [
            operation,
            log2_align,
            t0,
            t1,
            i0,
            i1,
            i2,
            i3,
            s0,
            s1,
            s2,
            s3,
        ] = bytes;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let operation = match operation {
            0 | 1 if log2_align > 31 => Err(TraceErrorKind::Alignment { log2_align }),
            0 | 1 => Ok(Operation::Allocate {
                size,
                log2_align,
                zeroed: operation == 1,
            }),
            2 => Ok(Operation::Reallocate { size }),
            3 if size != 0 => Err(TraceErrorKind::FreeOfSize { size }),
            3 => Ok(Operation::Free),
            unknown => Err(TraceErrorKind::UnknownOperation { operation: unknown }),
        };
        Ok(Self {
            offset,
            thread: u16::from_le_bytes([t0, t1]),
            id: u32::from_le_bytes([i0, i1, i2, i3]),
            operation: operation.map_err(|kind| TraceError { kind, offset })?,
        })
    }
}
