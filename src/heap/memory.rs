//! The memory of runs and slots that were allocated just now.

use core::ptr::NonNull;

use archipelago_api::{AllocFlags, Kernel, Machine};

use super::object_heap::Heap;
use crate::pageheap::{Online, ReadyRun};
use crate::span::{NewSlot, SizeClass};

/// The memory of a run, cleared as far as it may hold others than zeroes if `flags` ask for them.
pub(super) fn run_memory<M: Machine>(
    online: &Online<M>,
    ready: &ReadyRun,
    flags: AllocFlags,
) -> NonNull<[u8]> {
    let start = online.machine.pointer(ready.run().first.address::<M>());
    let bytes = ready.run().bytes::<M>();
    if flags.contains(AllocFlags::ZEROED) {
        let unclear = ready.unclear() << M::GEOMETRY.page_shift;
        // SAFETY: `write_bytes` needs the bytes
        // - writable: the run is Ready, and has as many pages;
        // - unshared: the caller holds its token.
        unsafe { start.write_bytes(0, unclear) };
    }
    NonNull::slice_from_raw_parts(start, bytes)
}

/// The memory of a slot, cleared if `flags` ask for zeroes and it may hold others.
#[inline]
pub(super) fn memory_of<M: Machine, K: Kernel>(
    online: &Online<M>,
    class: SizeClass,
    slot: &NewSlot<'_>,
    flags: AllocFlags,
) -> NonNull<[u8]> {
    let bytes = Heap::<M, K>::TABLE.size(class);
    let start = online.machine.pointer(slot.record().base::<M>());
    // SAFETY: `add` stays inside the span, which is Ready: the slot is below the span's slots,
    // and a span's slots fit its run.
    let start = unsafe { start.add(slot.number() * bytes) };
    if flags.contains(AllocFlags::ZEROED) && !slot.is_zeroed() {
        // SAFETY: `write_bytes` needs the bytes
        // - writable: the slot is Ready;
        // - unshared: the caller holds its token, and has not given its address away.
        unsafe { start.write_bytes(0, bytes) };
    }
    NonNull::slice_from_raw_parts(start, bytes)
}
