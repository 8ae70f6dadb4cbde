//! The console: the first serial port, which the harness reads.

use core::fmt;

use spin::{Mutex, Once};
use uart_16550::SerialPort;

const COM1: u16 = 0x3f8;

static PORT: Once<Mutex<SerialPort>> = Once::new();

fn port() -> &'static Mutex<SerialPort> {
    PORT.call_once(|| {
        // SAFETY: every PC has its first serial port at this address, and this `Once` makes the
        // only `SerialPort` for it.
        let mut port = unsafe { SerialPort::new(COM1) };
        port.init();
        Mutex::new(port)
    })
}

/// Writes to the console. The first call sets it up.
pub fn write(text: fmt::Arguments<'_>) {
    // A serial port that refuses a byte leaves nobody to tell about it.
    let _ = fmt::Write::write_fmt(&mut *port().lock(), text);
}

/// Breaks the console's lock, for a report that ends the machine: whoever holds the lock was
/// interrupted by what is being reported, and will not run again.
///
/// # Safety
/// The caller never returns to the code that was interrupted, and no other CPU is writing.
pub(crate) unsafe fn seize() {
    // SAFETY: the caller rules out that a holder of the lock goes on using its guard.
    unsafe { port().force_unlock() };
}
