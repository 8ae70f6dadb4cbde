//! The first serial port.

use core::fmt;

use volatile_register::RW;

/// The port, a CMSDK UART.
#[repr(C)]
struct Port {
    data: RW<u32>,
    state: RW<u32>,
    control: RW<u32>,
    interrupts: RW<u32>,
    divisor: RW<u32>,
}

const PORT: *const Port = core::ptr::without_provenance(0x4000_4000);

/// The transmitter takes no more now.
const TRANSMIT_FULL: u32 = 1 << 0;
const TRANSMIT_ENABLE: u32 = 1 << 0;
/// The least that the port works with.
const DIVISOR: u32 = 16;

/// The console's port.
#[derive(Debug)]
pub(crate) struct Console {
    is_set_up: bool,
}

impl Console {
    /// There is one, which is set up when something is written first.
    pub(crate) const fn new() -> Self {
        Self { is_set_up: false }
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the board has the port there, and Rust knows of no other memory there.
        let port = unsafe { &*core::ptr::with_exposed_provenance::<Port>(PORT.addr()) };
        if !self.is_set_up {
            // SAFETY: setting the speed has no effect on memory.
            unsafe { port.divisor.write(DIVISOR) };
            // SAFETY: enabling the transmitter has no effect on memory.
            unsafe { port.control.write(TRANSMIT_ENABLE) };
            self.is_set_up = true;
        }
        for byte in text.bytes() {
            while port.state.read() & TRANSMIT_FULL != 0 {}
            // SAFETY: sending a byte has no effect on memory.
            unsafe { port.data.write(byte.into()) };
        }
        Ok(())
    }
}
