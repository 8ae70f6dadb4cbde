//! The console: the first serial port, a 16550 in the I/O space of the south bridge. Its registers
//! are bytes, so byte order does not touch them.

use core::fmt;
use core::ptr::{NonNull, with_exposed_provenance_mut};

use volatile::VolatilePtr;

/// Where the port's registers are, in kseg1: uncached.
const COM1: usize = 0xb800_03f8;

/// Registers, by distance from the first.
const DATA: usize = 0;
const FIFO_CONTROL: usize = 2;
const LINE_CONTROL: usize = 3;
const LINE_STATUS: usize = 5;

/// FIFOs on, and empty.
const FIFOS: u8 = 0b111;
/// Eight bits, no parity, one stop bit.
const EIGHT_BITS: u8 = 0b11;
/// The port takes another byte.
const TAKES_MORE: u8 = 1 << 5;

/// The serial port.
#[derive(Debug)]
pub(crate) struct Console {
    is_set_up: bool,
}

impl Console {
    /// The port, to be set up when it is first written to. There is one.
    pub(crate) const fn new() -> Self {
        Self { is_set_up: false }
    }

    fn set_up(&mut self) {
        if !self.is_set_up {
            self.register(LINE_CONTROL).write(EIGHT_BITS);
            self.register(FIFO_CONTROL).write(FIFOS);
            self.is_set_up = true;
        }
    }

    fn register(&mut self, register: usize) -> VolatilePtr<'_, u8> {
        let place = NonNull::new(with_exposed_provenance_mut(COM1 + register));
        let place = place.expect("the port is not at address 0");
        // SAFETY: every Malta board has its first serial port at this address, there is one
        // `Console`, and reading or writing these registers has no effect on memory.
        unsafe { VolatilePtr::new(place) }
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.set_up();
        for byte in text.bytes() {
            while self.register(LINE_STATUS).read() & TAKES_MORE == 0 {
                core::hint::spin_loop();
            }
            self.register(DATA).write(byte);
        }
        Ok(())
    }
}
