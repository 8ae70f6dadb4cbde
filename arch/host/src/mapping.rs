//! The calls of the operating system: address space, its protection, and its contents.

use core::ffi::c_int;
use core::ptr;

use archipelago_api::{VirtAddr, VirtRange};

/// Why a range could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A part of it is in use.
    Occupied,
    /// The system gives no such addresses to this process.
    Outside,
}

/// Whether memory can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    None,
    ReadWrite,
}

/// Mappings of the heap: of this process alone, and without a reservation of swap, so that a window
/// may be larger than memory.
const FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANON | NO_SWAP;

/// Reserves no swap. Systems without this flag reserve none in any case.
#[cfg(not(any(target_os = "freebsd", target_os = "dragonfly")))]
const NO_SWAP: c_int = libc::MAP_NORESERVE;
#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
const NO_SWAP: c_int = 0;

/// Refuses an address at which something is mapped. Systems and versions without this flag map at
/// another address then.
#[cfg(target_os = "linux")]
const AT_THE_ADDRESS: c_int = libc::MAP_FIXED_NOREPLACE;
#[cfg(not(target_os = "linux"))]
const AT_THE_ADDRESS: c_int = 0;

/// Takes inaccessible address space, at an address that the system chooses near `wanted`.
fn map(wanted: VirtAddr, bytes: usize, flags: c_int) -> Result<VirtAddr, c_int> {
    let wanted = ptr::with_exposed_provenance_mut(wanted.value());
    // SAFETY: a new anonymous mapping that replaces none disturbs nothing.
    let start = unsafe { libc::mmap(wanted, bytes, libc::PROT_NONE, FLAGS | flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(last_error());
    }
    Ok(VirtAddr::new(start.expose_provenance()))
}

/// Takes exactly this range of address space, inaccessible.
///
/// # Errors
/// The range is as it was.
pub(crate) fn take(range: VirtRange) -> Result<(), Taken> {
    match map(range.base(), range.bytes(), AT_THE_ADDRESS) {
        Ok(start) if start == range.base() => Ok(()),
        Ok(start) => {
            if let Some(other) = VirtRange::new(start, range.bytes()) {
                // SAFETY:
                // - the mapping was made just now;
                // - nothing uses it.
                unsafe { give_back(other) };
            }
            Err(Taken::Occupied)
        }
        Err(libc::EEXIST) => Err(Taken::Occupied),
        Err(_) => Err(Taken::Outside),
    }
}

/// A range of `bytes` bytes that is free at this moment. Another thread may take it at the next.
pub(crate) fn find_free(bytes: usize) -> Option<VirtRange> {
    let start = map(VirtAddr::new(0), bytes, 0).ok()?;
    let range = VirtRange::new(start, bytes)?;
    // SAFETY:
    // - the mapping was made just now;
    // - nothing uses it.
    unsafe { give_back(range) };
    Some(range)
}

/// Gives address space back, with its memory. If the system has no memory to note the gap, the
/// range stays mapped.
///
/// # Safety
/// - All of the range was taken, and not given back.
/// - Nothing uses it any more.
pub(crate) unsafe fn give_back(range: VirtRange) {
    let start = ptr::with_exposed_provenance_mut(range.base().value());
    // SAFETY: the caller promises mappings that are the heap's and that nothing uses.
    let _ = unsafe { libc::munmap(start, range.bytes()) };
}

/// Changes the access to a range; returns whether the system did. If not, some of it may have
/// changed.
///
/// # Safety
/// - All of the range was taken, and not given back.
/// - If access is taken away, nothing uses the range any more.
pub(crate) unsafe fn protect(range: VirtRange, access: Access) -> bool {
    let start = ptr::with_exposed_provenance_mut(range.base().value());
    let access = match access {
        Access::None => libc::PROT_NONE,
        Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    };
    // SAFETY: the caller promises mappings that are the heap's, and that nothing uses what becomes
    // inaccessible.
    unsafe { libc::mprotect(start, range.bytes(), access) == 0 }
}

/// Drops the contents of a range, which is zero when it is read next, and gives its frames to the
/// system. Returns whether the system did; if not, the contents are unknown.
///
/// # Safety
/// - All of the range was taken, and not given back.
/// - Nothing uses it any more.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) unsafe fn discard(range: VirtRange) -> bool {
    let start = ptr::with_exposed_provenance_mut(range.base().value());
    // SAFETY: the caller promises mappings that are the heap's and that nothing uses.
    unsafe { libc::madvise(start, range.bytes(), libc::MADV_DONTNEED) == 0 }
}

/// Drops the contents of a range, which is zero when it is read next, and gives its frames to the
/// system. Returns whether the system did; if not, the contents are unknown.
///
/// Elsewhere than on Linux `madvise` may keep the contents, so that a new mapping replaces the old
/// one.
///
/// # Safety
/// - All of the range was taken, and not given back.
/// - Nothing uses it any more.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) unsafe fn discard(range: VirtRange) -> bool {
    let start = ptr::with_exposed_provenance_mut(range.base().value());
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, FLAGS | libc::MAP_FIXED);
    // SAFETY: what the new mapping replaces are mappings that are the heap's and that nothing uses,
    // as the caller promises.
    unsafe { libc::mmap(start, range.bytes(), access, flags, -1, 0) != libc::MAP_FAILED }
}

/// Bytes of a page of this system.
pub(crate) fn page_bytes() -> usize {
    // SAFETY: `sysconf` has no obligations.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The error of the last call of the system in this thread.
fn last_error() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
