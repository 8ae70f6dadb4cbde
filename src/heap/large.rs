//! Large objects: runs of pages of their own.

use core::alloc::Layout;
use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::runs::{ReadyRun, Want};
use super::{Heap, Opened};
use crate::region::Cause;
use crate::span::{Kind, RecordKind};

impl<M: Machine, K: Kernel> Heap<M, K> {
    /// A run of its own.
    // Out of line, so that the way to a slot needs no more registers than it uses.
    #[inline(never)]
    pub(super) fn allocate_large(
        &self,
        opened: &Opened<M>,
        layout: Layout,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        self.allocate_run(opened, Self::wanted(layout)?, flags)
    }

    /// A run of its own, as wanted.
    #[inline]
    pub(super) fn allocate_run(
        &self,
        opened: &Opened<M>,
        want: Want,
        flags: AllocFlags,
    ) -> Result<NonNull<[u8]>, Cause> {
        let handle = self.take_record(opened, RecordKind::Narrow, flags)?;
        let ready = match self.obtain(opened, want, flags) {
            Ok(ready) => ready,
            Err(cause) => {
                self.central.lock().retire(opened.records(), handle);
                return Err(cause);
            }
        };
        let memory = self.run_memory(opened, ready, flags);
        let _central = self.central.lock();
        let record = opened.records().get(handle).record;
        record.describe(Kind::Large, ready.run, 0, ready.zeroed);
        record.mark(want.scan);
        self.index.set(ready.run, Some(handle));
        Ok(memory)
    }

    fn run_memory(&self, opened: &Opened<M>, ready: ReadyRun, flags: AllocFlags) -> NonNull<[u8]> {
        let start = opened.machine.pointer(ready.run.first.address::<M>());
        let bytes = ready.run.bytes::<M>();
        if flags.contains(AllocFlags::ZEROED) && !ready.zeroed {
            // SAFETY: the run is Ready and allocated to this request alone.
            unsafe { start.write_bytes(0, bytes) };
        }
        NonNull::slice_from_raw_parts(start, bytes)
    }
}
