//! Messages on the standard error that are written without an allocation.

use core::fmt::{self, Display, Write};

/// A line that is being written, in pieces of at most so many bytes.
struct Line {
    bytes: [u8; 256],
    length: usize,
}

/// Writes one line.
pub(crate) fn print(message: &dyn Display) {
    let mut line = Line {
        bytes: [0; 256],
        length: 0,
    };
    // A message that cannot be written is lost, which is all there is to lose.
    let _ = writeln!(line, "{message}");
    line.flush();
}

impl Line {
    fn flush(&mut self) {
        let mut rest = &self.bytes[..self.length];
        while !rest.is_empty() {
            // SAFETY: the bytes are there to be read.
            let written = unsafe { libc::write(2, rest.as_ptr().cast(), rest.len()) };
            let Some(left) = usize::try_from(written)
                .ok()
                .and_then(|count| rest.get(count..))
            else {
                break;
            };
            if written == 0 {
                break;
            }
            rest = left;
        }
        self.length = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.length == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        Ok(())
    }
}
