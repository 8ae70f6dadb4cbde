//! Touching memory that may not be there, and living to tell.
//!
//! Each probe is a few instructions of the machine's module. When the one that touches memory
//! faults, the machine's trap handler keeps the fault here, and lets the probe return [`FAILED`].

use spin::Mutex;

use crate::fault::Fault;
use crate::machine::fetch_anew;

// The first instruction of the first two is the one that touches memory.
unsafe extern "C" {
    fn probe_load(address: *const u8) -> isize;
    fn probe_store(address: *mut u8, byte: u8) -> isize;
    fn probe_call(address: *const u8) -> isize;
}

/// The result of a probe whose instruction faulted.
const FAILED: isize = -1;

/// The last fault of a probe, until the probe takes it.
static FAULT: Mutex<Option<Fault>> = Mutex::new(None);

/// Reads a byte.
///
/// # Errors
/// The fault, where the address cannot be read.
pub fn probe_read(address: usize) -> Result<u8, Fault> {
    // SAFETY: reading a byte changes no memory, and where it faults the trap handler makes the
    // probe return.
    let byte = outcome(unsafe { probe_load(address as *const u8) })?;
    Ok(u8::try_from(byte).expect("the probe loads one byte"))
}

/// Writes a byte.
///
/// # Safety
/// Where the address can be written, changing the byte breaks nothing.
///
/// # Errors
/// The fault, where the address cannot be written; nothing has changed.
pub unsafe fn probe_write(address: usize, byte: u8) -> Result<(), Fault> {
    // SAFETY: the caller vouches for the write; where it faults, the trap handler makes the probe
    // return.
    outcome(unsafe { probe_store(address as *mut u8, byte) }).map(drop)
}

/// Calls an address.
///
/// # Safety
/// Where the address can be executed, a function without arguments is there that keeps to the C
/// calling convention, such as [`RETURN`](crate::RETURN).
///
/// # Errors
/// The fault, where the instruction at the address cannot be fetched.
pub unsafe fn probe_execute(address: usize) -> Result<(), Fault> {
    fetch_anew(address);
    // SAFETY: the caller vouches for the code at the address; where the fetch faults, the trap
    // handler makes the probe return.
    outcome(unsafe { probe_call(address as *const u8) }).map(drop)
}

fn outcome(result: isize) -> Result<isize, Fault> {
    if result != FAILED {
        return Ok(result);
    }
    Err(FAULT
        .lock()
        .take()
        .expect("a probe that failed left its fault"))
}

/// The part of a probe that a fault comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// A probe's load or store.
    Data,
    /// A fetch: a probe's if it was [`probe_execute`] that called the address.
    Fetch,
    /// A part of the kernel that is no probe.
    Other,
}

/// The part of a probe that `fault` comes from.
pub(crate) fn touch(fault: &Fault) -> Touch {
    let touching = [probe_load as *const u8, probe_store as *const u8];
    if touching.iter().any(|at| at.addr() == fault.instruction) {
        Touch::Data
    } else if fault.address == Some(fault.instruction) {
        Touch::Fetch
    } else {
        Touch::Other
    }
}

/// Keeps the fault for the probe, which has to return [`FAILED`] next.
pub(crate) fn keep(fault: Fault) {
    *FAULT.lock() = Some(fault);
}
