//! The console, which the harness reads.

use core::fmt;
use core::hint;

use spin::Mutex;

use crate::machine::Console;

static CONSOLE: Mutex<Console> = Mutex::new(Console::new());

/// Writes to the console. The first call sets it up.
pub fn write(text: fmt::Arguments<'_>) {
    // Where a serial port refuses a byte, an error could not be reported either.
    let _ = fmt::Write::write_fmt(&mut *CONSOLE.lock(), text);
}

/// Writes to the console, unless it is being written to: in a handler, which may have interrupted
/// that.
#[cfg(smp)]
pub fn try_write(text: fmt::Arguments<'_>) {
    if let Some(mut console) = CONSOLE.try_lock() {
        // As in `write`.
        let _ = fmt::Write::write_fmt(&mut *console, text);
    }
}

/// Turns of waiting in which another CPU finishes its line.
const TURNS: usize = 1 << 20;

/// Breaks the console's lock, for a report that ends the machine. The holder of the lock was
/// interrupted by the fault that is reported, and will not run again; or it is another CPU, which
/// is given time to finish.
///
/// # Safety
/// The caller never returns to the code that was interrupted.
pub(crate) unsafe fn seize() {
    let mut turns = 0..TURNS;
    while CONSOLE.is_locked() && turns.next().is_some() {
        hint::spin_loop();
    }
    // SAFETY: the caller does not return to a holder of the lock, so no guard of it is used again.
    unsafe { CONSOLE.force_unlock() };
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::write_console(::core::format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => {
        $crate::write_console(::core::format_args!("{}\n", ::core::format_args!($($argument)*)))
    };
}
