//! Unpacking gzip, a window at a time, without allocating.

use core::fmt;

use crc32fast::Hasher;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::error::{TraceError, TraceErrorKind};

/// How far deflate refers back.
const WINDOW_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 10;
const TRAILER_BYTES: usize = 8;
const DEFLATE: u8 = 8;

/// The first bytes of a gzip file. No plain trace starts with them, because the first byte would be
/// an unknown operation.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The memory that unpacking works in, about 43 KiB. One workspace serves one trace after another.
pub struct Workspace {
    inflate: Option<DecompressorOxide>,
    window: [u8; WINDOW_BYTES],
}

impl Workspace {
    /// Memory for unpacking one trace at a time.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            inflate: None,
            window: [0; WINDOW_BYTES],
        }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}

/// A gzip file being unpacked.
pub(super) struct Gzip<'a> {
    file: &'a [u8],
    /// The next byte of `file` to unpack.
    position: usize,
    inflate: &'a mut DecompressorOxide,
    window: &'a mut [u8; WINDOW_BYTES],
    /// The unpacked bytes of `window` that were not read yet.
    unread: core::ops::Range<usize>,
    checksum: Hasher,
    unpacked: u32,
    ended: bool,
}

impl fmt::Debug for Gzip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip")
            .field("position", &self.position)
            .field("unpacked", &self.unpacked)
            .finish_non_exhaustive()
    }
}

impl<'a> Gzip<'a> {
    /// Starts unpacking `file`, which starts with [`MAGIC`].
    pub(super) fn new(file: &'a [u8], workspace: &'a mut Workspace) -> Result<Self, TraceError> {
        let position = Header { file }.end()?;
        // Damaged data may refer to bytes before its start, which must not depend on the last
        // trace.
        workspace.window.fill(0);
        Ok(Self {
            file,
            position,
            inflate: workspace.inflate.insert(DecompressorOxide::new()),
            window: &mut workspace.window,
            unread: 0..0,
            checksum: Hasher::new(),
            unpacked: 0,
            ended: false,
        })
    }

    /// Unpacks bytes into `out`, fewer than it has room for only at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, TraceError> {
        let mut read = 0;
        while read < out.len() {
            if self.unread.is_empty() {
                if self.ended {
                    break;
                }
                self.unpack()?;
            }
            let count = self.unread.len().min(out.len() - read);
            let from = self.unread.start;
            out[read..read + count].copy_from_slice(&self.window[from..from + count]);
            self.unread.start += count;
            read += count;
        }
        Ok(read)
    }

    /// Unpacks as much as fits the rest of the window; checks the trailer after the last of it.
    fn unpack(&mut self) -> Result<(), TraceError> {
        let to = self.unread.end % WINDOW_BYTES;
        let packed = &self.file[self.position..];
        let (status, taken, made) = decompress(self.inflate, packed, self.window, to, 0);
        self.position += taken;
        self.unread = to..to + made;
        let fresh = &self.window[self.unread.clone()];
        self.checksum.update(fresh);
        // At most a window, which fits 32 bits.
        self.unpacked = self
            .unpacked
            .wrapping_add(u32::try_from(made).unwrap_or(u32::MAX));
        match status {
            TINFLStatus::HasMoreOutput => Ok(()),
            TINFLStatus::Done => {
                self.ended = true;
                self.check_trailer()
            }
            TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                Err(truncated(self.file))
            }
            _ => Err(at(self.position, TraceErrorKind::Deflate)),
        }
    }

    fn check_trailer(&self) -> Result<(), TraceError> {
        let Some(trailer) = self.file[self.position..].first_chunk::<TRAILER_BYTES>() else {
            return Err(truncated(self.file));
        };
        let [c0, c1, c2, c3, l0, l1, l2, l3] = *trailer;
        let stated = u32::from_le_bytes([c0, c1, c2, c3]);
        let computed = self.checksum.clone().finalize();
        if stated != computed {
            let kind = TraceErrorKind::Checksum { stated, computed };
            return Err(at(self.position, kind));
        }
        let stated = u32::from_le_bytes([l0, l1, l2, l3]);
        let unpacked = self.unpacked;
        if stated != unpacked {
            let kind = TraceErrorKind::Length { stated, unpacked };
            return Err(at(self.position + 4, kind));
        }
        let end = self.position + TRAILER_BYTES;
        if end < self.file.len() {
            return Err(at(end, TraceErrorKind::DataAfterEnd));
        }
        Ok(())
    }
}

const CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The header of a gzip file that starts with [`MAGIC`].
struct Header<'a> {
    file: &'a [u8],
}

impl Header<'_> {
    /// The offset of the first byte after the header.
    fn end(&self) -> Result<usize, TraceError> {
        let Some(&[_, _, method, flags, ..]) = self.file.first_chunk::<HEADER_BYTES>() else {
            return Err(truncated(self.file));
        };
        if method != DEFLATE {
            return Err(at(2, TraceErrorKind::Method { method }));
        }
        if flags & RESERVED != 0 {
            return Err(at(3, TraceErrorKind::ReservedFlags { flags }));
        }
        let mut end = HEADER_BYTES;
        if flags & EXTRA != 0 {
            end += 2 + usize::from(self.short(end)?);
        }
        for _ in 0..(flags & (NAME | COMMENT)).count_ones() {
            end = self.text_end(end)?;
        }
        if flags & CHECKSUM != 0 {
            self.check(end)?;
            end += 2;
        }
        if end > self.file.len() {
            return Err(truncated(self.file));
        }
        Ok(end)
    }

    fn short(&self, from: usize) -> Result<u16, TraceError> {
        let bytes = self.file.get(from..).and_then(<[u8]>::first_chunk);
        let bytes = bytes.ok_or_else(|| truncated(self.file))?;
        Ok(u16::from_le_bytes(*bytes))
    }

    /// The offset of the first byte after the text that starts at `from` and ends with a zero.
    fn text_end(&self, from: usize) -> Result<usize, TraceError> {
        let rest = self.file.get(from..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == 0);
        Ok(from + length.ok_or_else(|| truncated(self.file))? + 1)
    }

    /// Checks the header's first `end` bytes against the checksum after them.
    fn check(&self, end: usize) -> Result<(), TraceError> {
        let stated = self.short(end)?;
        let [low, high, ..] = crc32fast::hash(&self.file[..end]).to_le_bytes();
        let computed = u16::from_le_bytes([low, high]);
        if stated == computed {
            return Ok(());
        }
        Err(at(end, TraceErrorKind::HeaderChecksum { stated, computed }))
    }
}

fn truncated(file: &[u8]) -> TraceError {
    at(file.len(), TraceErrorKind::FileTruncated)
}

fn at(offset: usize, kind: TraceErrorKind) -> TraceError {
    TraceError {
        kind,
        offset: offset as u64,
    }
}
