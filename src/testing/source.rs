//! Metadata memory for tests of single layers, from the global allocator, so that it works in a
//! kernel, too.

use alloc::alloc::alloc_zeroed;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ptr::NonNull;

use spin::mutex::SpinMutex;

use crate::base::sparse::{Entry, Zeroed};
use crate::region::ranges::{Ranges, Slot};
use crate::region::{Cause, Purpose, Source};

/// Metadata memory from the global allocator, never freed.
#[derive(Debug, Default)]
pub(crate) struct HostSource {
    bytes: [usize; Purpose::ALL.len()],
    requests: usize,
    refused: Option<usize>,
}

/// Keeps all memory reachable, so that leak checkers do not report it.
static HANDED_OUT: SpinMutex<Vec<HandedOut>> = SpinMutex::new(Vec::new());

struct HandedOut(#[expect(dead_code, reason = "kept for leak checkers alone")] NonNull<u8>);

// SAFETY: the pointer is never dereferenced.
unsafe impl Send for HandedOut {}

impl HostSource {
    /// Bytes allocated for `purpose`.
    pub(crate) fn bytes(&self, purpose: Purpose) -> usize {
        self.bytes[purpose as usize]
    }

    /// Requests so far, refused ones among them.
    #[cfg(test)]
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// Refuses the request that comes after `served` more, once.
    #[cfg(test)]
    pub(crate) fn refuse_after(&mut self, served: usize) {
        self.refused = Some(self.requests + served);
    }
}

impl Source for HostSource {
    fn take<T: Entry>(
        &mut self,
        purpose: Purpose,
        count: usize,
        align: usize,
    ) -> Result<Zeroed<T>, Cause> {
        let request = self.requests;
        self.requests += 1;
        let refusal = Cause::Frames {
            needed: 1,
            available: 0,
        };
        if self.refused == Some(request) {
            self.refused = None;
            return Err(refusal);
        }
        let layout = Layout::array::<T>(count)
            .and_then(|layout| layout.align_to(align))
            .map_err(|_| refusal)?;
        if layout.size() == 0 {
            return Err(refusal);
        }
        // SAFETY: `alloc_zeroed` needs a layout of a size other than zero, as checked above.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(refusal)?;
        HANDED_OUT.lock().push(HandedOut(memory));
        self.bytes[purpose as usize] += layout.size();
        // SAFETY: `Zeroed::new` needs
        // - alignment for `T`: the layout has it;
        // - `count` entries that are Ready, zero, and stay so: they are zeroed and never freed;
        // - no other reference: the memory was allocated just now.
        Ok(unsafe { Zeroed::new(memory.cast(), count) })
    }
}

/// Makes sure that one more range fits.
pub(crate) fn top_up(ranges: &mut Ranges, source: &mut HostSource) {
    let Some(slots) = ranges.needs_room(1) else {
        return;
    };
    if let Ok(memory) = source.take(Purpose::Ranges, slots, align_of::<Slot>()) {
        ranges.adopt(memory);
    }
}
