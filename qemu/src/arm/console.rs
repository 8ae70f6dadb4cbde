//! The serial port.

use core::fmt;

use super::devices::{SERIAL_PORT, register};

const DATA: usize = 0;
const FLAGS: usize = 0x18;
/// The transmitter takes no more now.
const TRANSMIT_FULL: u32 = 1 << 5;

/// The console's port, which QEMU has set up.
#[derive(Debug)]
pub(crate) struct Console(());

impl Console {
    /// There is one.
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while register(SERIAL_PORT, FLAGS).read() & TRANSMIT_FULL != 0 {}
            register(SERIAL_PORT, DATA).write(byte.into());
        }
        Ok(())
    }
}
