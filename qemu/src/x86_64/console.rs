//! The first serial port.

use core::fmt;

use uart_16550::SerialPort;

const COM1: u16 = 0x3f8;

/// The console's port.
pub(crate) struct Console {
    port: Option<SerialPort>,
}

impl Console {
    /// There is one, which sets the port up when something is written first.
    pub(crate) const fn new() -> Self {
        Self { port: None }
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let port = self.port.get_or_insert_with(|| {
            // SAFETY: every PC has its first serial port at this address, and the one `Console`
            // makes the only `SerialPort` for it.
            let mut port = unsafe { SerialPort::new(COM1) };
            port.init();
            port
        });
        port.write_str(text)
    }
}
