//! The page tables and the frames, which the kernel and its heaps share.

use spin::{Mutex, Once};

use crate::boot::Boot;
use crate::machine::{Frames, Mapper};

/// The page tables and the frames, under one lock.
pub type Memory = Mutex<(Mapper, Frames)>;

static MEMORY: Once<Memory> = Once::new();

/// Puts the boot code's page tables and frames under one lock.
///
/// # Panics
/// On a second call.
pub fn share_memory(boot: Boot) -> &'static Memory {
    assert!(!MEMORY.is_completed(), "there is one set of page tables");
    MEMORY.call_once(|| Mutex::new((boot.mapper, boot.frames)))
}

/// Whether the lock around the shared page tables and frames is held.
#[must_use]
pub fn memory_is_busy() -> bool {
    MEMORY.get().is_some_and(Mutex::is_locked)
}
