//! Physical memory that can be touched: the host's mappings follow page tables that lie in ordinary
//! memory, as an MMU would, so that the addresses are addresses of this process.

use core::ptr;

use archipelago_api::{PhysAddr, VirtAddr, VirtRange};
use archipelago_paging::Tlb;

use crate::{FrameMemory, PAGE, Source, Walked};

/// Physical memory in a file, of which frames can be mapped anywhere in the process.
#[derive(Clone, Copy, Debug)]
pub struct Board<P: Walked> {
    file: libc::c_int,
    /// The source of the frames.
    pub source: Source<P>,
}

impl<P: Walked> Board<P> {
    /// A board with `frames` frames, over which `tables` makes page tables.
    #[must_use]
    pub fn new(frames: usize, tables: impl FnOnce(FrameMemory) -> P) -> Self {
        let bytes = frames * PAGE;
        // SAFETY: the name is a C string.
        let file = unsafe { libc::memfd_create(c"frames".as_ptr(), 0) };
        let length = libc::off_t::try_from(bytes).expect("a few megabytes");
        // SAFETY: it takes no pointers.
        assert_eq!(unsafe { libc::ftruncate(file, length) }, 0);
        let base = shared(ptr::null_mut(), bytes, 0, file, 0);
        // SAFETY:
        // - the memory was just mapped, and is never unmapped;
        // - the host maps by page.
        let memory = unsafe { FrameMemory::at(base, frames, PhysAddr::new(P::FIRST)) };
        let source = Source::over(tables(memory));
        Self { file, source }
    }

    /// Has the host translate `range` as the page tables do.
    pub(crate) fn follow(&self, range: VirtRange) {
        let at = |page: usize| ptr::with_exposed_provenance_mut(page);
        let base = range.base().value();
        // In one go, since most flushed pages are absent.
        nothing(at(base), range.bytes(), libc::MAP_FIXED);
        for page in (base..base + range.bytes()).step_by(PAGE) {
            if let Some(frame) = self.source.physical.ready(VirtAddr::new(page)) {
                let offset = self.source.physical.memory().number(frame) * PAGE;
                let offset = libc::off_t::try_from(offset).expect("a few megabytes");
                shared(at(page), PAGE, libc::MAP_FIXED, self.file, offset);
            }
        }
    }
}

/// Address space backed by a piece of the file.
fn shared(
    at: *mut u8,
    bytes: usize,
    flags: libc::c_int,
    file: libc::c_int,
    offset: libc::off_t,
) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    map(
        at,
        bytes,
        protection,
        flags | libc::MAP_SHARED,
        file,
        offset,
    )
}

/// Address space that nothing backs.
fn nothing(at: *mut u8, bytes: usize, flags: libc::c_int) -> *mut u8 {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    map(at, bytes, libc::PROT_NONE, flags, -1, 0)
}

/// `bytes` of this process's address space, a multiple of the 4 MiB that tables may serve and
/// aligned to that; with `low`, in the lower 32 bits.
#[must_use]
pub fn space(bytes: usize, low: bool) -> VirtRange {
    const SERVED: usize = 4 << 20;
    assert_eq!(bytes % SERVED, 0);
    let flags = if low { libc::MAP_32BIT } else { 0 };
    let base = nothing(ptr::null_mut(), bytes + SERVED, flags).expose_provenance();
    VirtRange::new(VirtAddr::new(base.next_multiple_of(SERVED)), bytes).expect("does not wrap")
}

fn map(
    at: *mut u8,
    bytes: usize,
    protection: libc::c_int,
    flags: libc::c_int,
    file: libc::c_int,
    offset: libc::off_t,
) -> *mut u8 {
    // SAFETY: a fixed address is always that of a page in a window that `nothing` mapped, and the
    // window is the machine's alone.
    let mapped = unsafe { libc::mmap(at.cast(), bytes, protection, flags, file, offset) };
    assert_ne!(
        mapped,
        libc::MAP_FAILED,
        "{}",
        std::io::Error::last_os_error()
    );
    mapped.cast()
}

// SAFETY: after a flush the process can only reach pages that the page tables still map.
unsafe impl<P: Walked> Tlb for Board<P> {
    fn flush(&self, range: VirtRange) {
        self.follow(range);
    }
}

/// A window of 21 pages over the end of a last-level table of `bytes`.
#[must_use]
pub fn over_the_end_of_a_table(bytes: usize, low: bool) -> VirtRange {
    let space = space(8 << 20, low);
    let end = space.base().value() + bytes;
    VirtRange::new(VirtAddr::new(end - 9 * PAGE), 21 * PAGE).expect("does not wrap")
}
