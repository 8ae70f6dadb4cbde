//! Stopping the machine with a reason: a panic, a fault, or a failure that the kernel found itself.

use core::fmt;
use core::hint;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::machine::exit;
use crate::protocol;
use crate::verdict::Verdict;

static STOPPING: AtomicBool = AtomicBool::new(false);

/// Turns of waiting in which another CPU finishes its report.
const TURNS: usize = 1 << 20;

/// Prints the reason, reports the running test as failed and ends the machine.
pub fn stop(reason: fmt::Arguments<'_>) -> ! {
    if STOPPING.swap(true, Ordering::Relaxed) {
        // Another CPU reports, and ends the machine; or the report itself failed, so that another
        // one would too.
        (0..TURNS).for_each(|_| hint::spin_loop());
        exit(Verdict::Fail);
    }
    // SAFETY: this function does not return, and another CPU has had the time to finish its line.
    unsafe { crate::console::seize() };
    protocol::fail(reason);
    exit(Verdict::Fail);
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(at) => stop(format_args!("{} ({at})", info.message())),
        None => stop(format_args!("{}", info.message())),
    }
}
