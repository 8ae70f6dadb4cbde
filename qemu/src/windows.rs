//! Windows that heaps are tested with, and the pages of a window that objects can have.

use archipelago::{VirtAddr, Window};
use archipelago_api::Machine;

use crate::machine::{FRAME_BYTES, HeapMachine};

/// A place for a heap with scannable objects.
#[derive(Clone, Copy, Debug)]
pub struct ScannablePlace {
    /// The place in words.
    pub name: &'static str,
    /// The windows, the first of them for metadata alone.
    pub windows: &'static [Window],
    /// Bytes of an object that lies across arenas there, unless one arena is all there is.
    pub long: usize,
    /// How many boundaries of arenas that object lies across, at least.
    pub boundaries: usize,
}

/// The pages of a window that objects can have: not the one at address 0, nor the last one of the
/// space or of the pointers.
#[must_use]
pub fn usable(window: Window) -> Window {
    let above = window.base.wrapping_add(window.bytes);
    let is_beyond = HeapMachine::GEOMETRY.offset(VirtAddr::new(above)).is_none();
    if window.base == 0 {
        Window::new(FRAME_BYTES, window.bytes - FRAME_BYTES)
    } else if above == 0 || is_beyond {
        Window::new(window.base, window.bytes - FRAME_BYTES)
    } else {
        window
    }
}

/// Bytes of each window that the conformance suite gets: more than it asks for, and over the
/// end of a last-level table wherever a window begins just below one.
#[cfg(mmu)]
pub const BYTES_UNDER_TEST: usize = 64 * FRAME_BYTES;
