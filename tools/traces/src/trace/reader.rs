//! The records of a trace, one after another.

use super::error::{TraceError, TraceErrorKind};
use super::gzip::{Gzip, MAGIC, Workspace};
use super::{RECORD_BYTES, Record};

/// A trace being read, gzip or plain.
///
/// Records are checked one by one as they are read; whether they belong together is what
/// [`validate`](super::validate) checks.
#[derive(Debug)]
pub struct Trace<'a> {
    source: Source<'a>,
    /// Of the next record, in the unpacked trace.
    offset: u64,
}

#[derive(Debug)]
enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(Gzip<'a>),
}

impl<'a> Trace<'a> {
    /// Starts reading `file`, which is unpacked if it is gzip.
    ///
    /// # Errors
    ///
    /// The gzip header is damaged or truncated.
    pub fn new(file: &'a [u8], workspace: &'a mut Workspace) -> Result<Self, TraceError> {
        let source = if file.starts_with(&MAGIC) {
            Source::Gzip(Gzip::new(file, workspace)?)
        } else {
            Source::Plain(file)
        };
        Ok(Self { source, offset: 0 })
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The file is damaged or truncated, the record makes no sense, or there is no record at all.
    /// The result of a further call is not specified.
    pub fn read(&mut self) -> Result<Option<Record>, TraceError> {
        let offset = self.offset;
        let mut bytes = [0; RECORD_BYTES];
        let kind = match self.fill(&mut bytes)? {
            RECORD_BYTES => {
                self.offset += RECORD_BYTES as u64;
                return Record::parse(bytes, offset).map(Some);
            }
            0 if offset > 0 => return Ok(None),
            0 => TraceErrorKind::Empty,
            bytes => TraceErrorKind::RecordTruncated { bytes },
        };
        Err(TraceError { kind, offset })
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, TraceError> {
        match &mut self.source {
            Source::Plain(rest) => {
                let count = rest.len().min(out.len());
                let (read, unread) = rest.split_at(count);
                out[..count].copy_from_slice(read);
                *rest = unread;
                Ok(count)
            }
            Source::Gzip(gzip) => gzip.read(out),
        }
    }
}
