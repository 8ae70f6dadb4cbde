//! Memory whose protection follows the states: touching memory that is not Ready is a page fault.

use core::ffi::c_int;
use core::ops::Range;
use core::ptr::{self, NonNull};
use std::io;

use super::{AnyReady, Placement, Tampered, find_other};
use crate::violation::violation;

/// The byte that fills granules that are not Ready but share a host page with one that is, which
/// the host can therefore not protect.
const REST: u8 = 0xDE;

/// A reservation of host address space. Host pages with a Ready granule are read-write; the others
/// are inaccessible, and their contents gone.
#[derive(Debug)]
pub(crate) struct Mapped {
    /// Invariant: `bytes` bytes from here are mapped and this block's alone.
    memory: NonNull<u8>,
    /// A multiple of `page`.
    bytes: usize,
    /// Bytes of the first host page that lie below the window.
    lead: usize,
    /// Bytes of the window; `lead + window` is at most `bytes`.
    window: usize,
    /// Bytes of a host page, a power of two.
    page: usize,
}

impl Mapped {
    pub(crate) fn new(placement: Placement) -> Self {
        let page = page_bytes();
        let lead = placement.residue & (page - 1);
        let bytes = placement
            .bytes
            .checked_add(lead)
            .and_then(|bytes| bytes.checked_next_multiple_of(page));
        let spacious = bytes.and_then(|bytes| bytes.checked_add(placement.modulus));
        let (Some(bytes), Some(spacious)) = (bytes, spacious) else {
            violation(format_args!(
                "{placement:?} does not fit the host's address space"
            ));
        };
        let start = map(spacious);
        let skip = placement.distance(start.addr().get(), lead);
        // SAFETY: `skip` is below `modulus`, so it lies inside the `bytes + modulus` mapped bytes.
        let memory = unsafe { start.add(skip) };
        // SAFETY: `skip + bytes` is at most the mapped length.
        let tail = unsafe { memory.add(bytes) };
        // SAFETY:
        // - the bytes below `memory` were mapped above, and are whole pages;
        // - nothing uses them.
        unsafe { unmap(start, skip) };
        // SAFETY:
        // - the bytes above the block were mapped above, and are whole pages;
        // - nothing uses them.
        unsafe { unmap(tail, placement.modulus - skip) };
        Self {
            memory,
            bytes,
            lead,
            window: placement.bytes,
            page,
        }
    }

    pub(crate) fn first(&self) -> NonNull<u8> {
        self.at(self.lead)
    }

    pub(crate) fn make_ready(
        &self,
        at: Range<usize>,
        fill: u8,
        any_ready: AnyReady<'_>,
    ) -> Result<(), Tampered> {
        let at = at.start + self.lead..at.end + self.lead;
        let edges = self.edges(&at);
        let (open, closed): (Vec<_>, Vec<_>) = edges
            .into_iter()
            .partition(|edge| self.is_shared(edge, &at, any_ready));
        for edge in &open {
            self.check_rest(at.start.max(edge.start)..at.end.min(edge.end))?;
        }
        self.protect(self.pages_around(&at), libc::PROT_READ | libc::PROT_WRITE);
        let whole = open.is_empty() && closed.is_empty();
        for edge in closed {
            self.fill(edge, REST);
        }
        // Whole host pages come from the host as zeros.
        if fill != 0 || !whole {
            self.fill(at, fill);
        }
        Ok(())
    }

    pub(crate) fn make_unready(&self, at: Range<usize>, any_ready: AnyReady<'_>) {
        let at = at.start + self.lead..at.end + self.lead;
        let mut closing = self.pages_around(&at);
        for edge in self.edges(&at) {
            if !self.is_shared(&edge, &at, any_ready) {
                continue;
            }
            self.fill(at.start.max(edge.start)..at.end.min(edge.end), REST);
            if edge.start == closing.start {
                closing.start = edge.end;
            } else {
                closing.end = edge.start;
            }
        }
        if closing.start < closing.end {
            self.discard(closing.clone());
            self.protect(closing, libc::PROT_NONE);
        }
    }

    /// The host pages that `at` covers in part.
    fn edges(&self, at: &Range<usize>) -> Vec<Range<usize>> {
        let mut edges = Vec::new();
        for end in [at.start, at.end] {
            let first = end & !(self.page - 1);
            let edge = first..first + self.page;
            if first != end && !edges.contains(&edge) {
                edges.push(edge);
            }
        }
        edges
    }

    /// Whether a granule of the host page `edge` that is not in `at` is Ready.
    fn is_shared(&self, edge: &Range<usize>, at: &Range<usize>, any_ready: AnyReady<'_>) -> bool {
        let inside = |position: usize| position.saturating_sub(self.lead).min(self.window);
        let below = inside(edge.start)..inside(at.start.min(edge.end));
        let above = inside(at.end.max(edge.start))..inside(edge.end);
        [below, above]
            .into_iter()
            .any(|part| part.start < part.end && any_ready(part))
    }

    fn pages_around(&self, at: &Range<usize>) -> Range<usize> {
        at.start & !(self.page - 1)..at.end.next_multiple_of(self.page)
    }

    /// The pointer to a position in the block, which may be its end.
    fn at(&self, position: usize) -> NonNull<u8> {
        debug_assert!(position <= self.bytes);
        // SAFETY: every position lies within the block: `make_ready` and `make_unready` are asked
        // about bytes of the window alone, and `lead + window` is at most `bytes`, a whole number
        // of pages.
        unsafe { self.memory.add(position) }
    }

    fn check_rest(&self, part: Range<usize>) -> Result<(), Tampered> {
        // SAFETY: a shared host page is read-write and was filled when it became so; the granules
        // of `part` are not Ready, so nothing may write them.
        match unsafe { find_other(self.at(part.start), part.len(), REST) } {
            Some(found) => Err(Tampered(part.start + found - self.lead)),
            None => Ok(()),
        }
    }

    fn fill(&self, part: Range<usize>, value: u8) {
        // SAFETY: the host pages of `part` are read-write, and its granules are in transition, so
        // nothing else accesses them.
        unsafe { self.at(part.start).write_bytes(value, part.len()) };
    }

    fn protect(&self, pages: Range<usize>, protection: c_int) {
        let first = self.at(pages.start).as_ptr().cast();
        // SAFETY:
        // - `pages` are whole pages of the block, which is this object's alone;
        // - no reference to them exists while they are in transition.
        let result = unsafe { libc::mprotect(first, pages.len(), protection) };
        if result != 0 {
            let error = io::Error::last_os_error();
            violation(format_args!(
                "the host does not protect {} bytes: {error} (it limits the mappings of a process; \
                 `Builder::traps(false)` needs none)",
                pages.len()
            ));
        }
    }

    fn discard(&self, pages: Range<usize>) {
        let first = self.at(pages.start).as_ptr().cast();
        // SAFETY:
        // - `pages` are whole pages of the block, which is this object's alone;
        // - no reference to them exists while they are in transition, and their contents are not
        //   needed any more.
        let result = unsafe { libc::madvise(first, pages.len(), libc::MADV_DONTNEED) };
        if result != 0 {
            let error = io::Error::last_os_error();
            violation(format_args!(
                "the host does not discard {} bytes: {error}",
                pages.len()
            ));
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY:
        // - the block is mapped, and whole pages;
        // - the block is this object's alone, and its machine is dropped.
        unsafe { unmap(self.memory, self.bytes) };
    }
}

fn page_bytes() -> usize {
    // SAFETY: `sysconf` has no obligations.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    match usize::try_from(bytes) {
        Ok(bytes) if bytes.is_power_of_two() => bytes,
        _ => violation(format_args!("the host has pages of {bytes} bytes")),
    }
}

/// Takes `bytes` bytes of inaccessible address space.
fn map(bytes: usize) -> NonNull<u8> {
    // Without a reservation of swap, so that a window may be larger than the host's memory.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping, at an address the host picks, disturbs nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    match NonNull::new(start.cast::<u8>()) {
        Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => start,
        _ => {
            let error = io::Error::last_os_error();
            violation(format_args!("the host does not map {bytes} bytes: {error}"))
        }
    }
}

/// Gives address space back.
///
/// # Safety
/// - The bytes are mapped, and whole pages.
/// - Nothing uses them.
unsafe fn unmap(first: NonNull<u8>, bytes: usize) {
    if bytes == 0 {
        return;
    }
    // SAFETY: the caller promises mapped pages that nothing uses.
    let result = unsafe { libc::munmap(first.as_ptr().cast(), bytes) };
    debug_assert_eq!(result, 0, "the host keeps {bytes} bytes mapped");
}
