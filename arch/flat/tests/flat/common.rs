//! Blocks of host memory in chosen places.

use core::alloc::Layout;
use std::sync::Mutex;

/// A block of zeroed host memory.
#[derive(Debug)]
pub(crate) struct Block {
    memory: *mut u8,
    layout: Layout,
    skip: usize,
    bytes: usize,
}

// SAFETY: a block owns its memory.
unsafe impl Send for Block {}

/// Blocks of machines that live as long as the program.
static KEPT: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// The alignment of a block before `skip` bytes are left out.
const ALIGN: usize = 1 << 16;

impl Block {
    /// `bytes` bytes that begin `skip` bytes above a multiple of 64 KiB.
    pub(crate) fn new(bytes: usize, skip: usize) -> Self {
        let layout = Layout::from_size_align(skip + bytes, ALIGN).expect("a layout");
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc::alloc::alloc_zeroed(layout) };
        assert!(!memory.is_null(), "the host has no memory");
        Self {
            memory,
            layout,
            skip,
            bytes,
        }
    }

    /// Keeps the block until the end of the program.
    pub(crate) fn keep(self) {
        KEPT.lock().expect("no panic").push(self);
    }

    /// The first byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.memory.wrapping_add(self.skip)
    }

    /// The length of the block in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY:
        // - the memory was allocated with this layout;
        // - the machine that used it was dropped before.
        unsafe { alloc::alloc::dealloc(self.memory, self.layout) };
    }
}
