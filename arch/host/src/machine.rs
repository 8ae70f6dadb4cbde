//! The machine: address space of a process, and the memory that the system gives for it.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use archipelago_api::{
    Busy, CommitError, Contents, Geometry, IndexWord, Machine, Patience, PrepareError,
    ReserveError, VirtAddr, VirtRange,
};

use crate::error::HostError;
use crate::mapping::{self, Access, Taken};
use crate::reservations::Reservations;

/// log2 of the bytes of a page, of the heap and of the system.
const PAGE_SHIFT: u32 = 12;

/// The addresses of a process: 48 bits, or all of a narrower pointer.
#[cfg(target_pointer_width = "64")]
const GEOMETRY: Geometry = Geometry {
    address_bits: 48,
    base: 0,
    granule_shift: PAGE_SHIFT,
    page_shift: PAGE_SHIFT,
    chunk_shift: 21,
    arena_shift: 26,
    index_root_shift: 10,
    index_table_shift: 12,
};
#[cfg(target_pointer_width = "32")]
const GEOMETRY: Geometry = Geometry {
    address_bits: 32,
    base: 0,
    granule_shift: PAGE_SHIFT,
    page_shift: PAGE_SHIFT,
    chunk_shift: 21,
    arena_shift: 22,
    index_root_shift: 0,
    index_table_shift: 10,
};

/// A machine of a process: it takes address space and memory from the operating system.
///
/// Addresses are those of the process. Any window serves that the system gives: one at a fixed
/// address that is free, such as the kernel's own, or one that the system chooses
/// ([`HostHeap`](crate::HostHeap) asks for it).
///
/// Prepared memory has no page tables of its own: they are the system's, which makes them when it
/// makes frames. Commit is refused where the system refuses it, for example because a process may
/// have no more separate mappings.
///
/// The address space goes back to the system when the machine is dropped: that of 32 ranges, which
/// are more than a heap has windows.
#[derive(Debug)]
pub struct Host {
    reserved: Reservations,
    /// Whether the system once kept the contents of memory that was given up, as it does of memory
    /// that is locked.
    kept_contents: AtomicBool,
}

impl Host {
    /// A machine without address space.
    ///
    /// # Errors
    /// The pages of this system are too large.
    pub fn new() -> Result<Self, HostError> {
        let (system, granule) = (mapping::page_bytes(), GEOMETRY.granule_bytes());
        if system > granule {
            return Err(HostError::Pages { system, granule });
        }
        Ok(Self {
            reserved: Reservations::new(),
            kept_contents: AtomicBool::new(false),
        })
    }

    /// Drops the contents of a range that is no longer used, and makes it inaccessible.
    ///
    /// Where the system has no memory to note that a part of a mapping is inaccessible, the range
    /// stays accessible. It is without contents and without frames all the same.
    ///
    /// # Safety
    /// - The whole range is reserved.
    /// - Nothing uses it any more.
    unsafe fn give_up(&self, range: VirtRange) {
        // SAFETY: the caller promises a reserved range that nothing uses.
        if !unsafe { mapping::discard(range) } {
            self.kept_contents.store(true, Relaxed);
        }
        // SAFETY: the caller promises a reserved range that nothing uses.
        let _ = unsafe { mapping::protect(range, Access::None) };
    }
}

// SAFETY:
// - committed memory is a private mapping that the system made read-write, of a range that it gave
//   to this machine alone; only the calls that may take it away do;
// - memory is reported zeroed as long as the system has dropped all contents that it was asked to
//   drop, and fresh mappings are zero;
// - reserve takes a whole range or none; prepare changes nothing; of a commit that was refused no
//   page was touched, so that none has a frame, and access is taken away again;
// - `mprotect` and `munmap` reach every CPU before they return;
// - an address is that of its pointer, whose provenance was exposed when its mapping was made.
unsafe impl Machine for Host {
    const GEOMETRY: Geometry = GEOMETRY;

    const POINTERS_ARE_ADDRESSES: bool = true;

    type IndexRoot = [IndexWord; 1 << GEOMETRY.index_root_shift];

    unsafe fn reserve(&self, range: VirtRange, _: Patience) -> Result<(), ReserveError> {
        if !GEOMETRY.contains(range) {
            return Err(ReserveError::Outside { range });
        }
        mapping::take(range).map_err(|taken| match taken {
            // The system does not say which part.
            Taken::Occupied => ReserveError::Occupied { occupied: range },
            Taken::Outside => ReserveError::Outside { range },
        })?;
        self.reserved.add(range);
        Ok(())
    }

    unsafe fn prepare(&self, _: VirtRange, _: Patience) -> Result<(), PrepareError> {
        Ok(())
    }

    unsafe fn commit(&self, range: VirtRange, _: Patience) -> Result<Contents, CommitError> {
        // SAFETY: the range is Prepared, so it is reserved, and no access is taken away.
        if !unsafe { mapping::protect(range, Access::ReadWrite) } {
            // SAFETY: the range is Prepared, so it is reserved and nothing uses it.
            let _ = unsafe { mapping::protect(range, Access::None) };
            let needed = range.bytes() >> GEOMETRY.granule_shift;
            let available = 0;
            return Err(CommitError::Frames { needed, available });
        }
        Ok(if self.kept_contents.load(Relaxed) {
            Contents::Unknown
        } else {
            Contents::Zeroed
        })
    }

    unsafe fn decommit(&self, range: VirtRange, _: Patience) -> Result<(), Busy> {
        // SAFETY: the range is Ready, so it is reserved, and the caller promises that nothing uses
        // it.
        unsafe { self.give_up(range) };
        Ok(())
    }

    unsafe fn fault(&self, range: VirtRange, _: Patience) -> Result<(), Busy> {
        // SAFETY: the range is Ready or Prepared, so it is reserved, and the caller promises that
        // nothing uses it.
        unsafe { self.give_up(range) };
        Ok(())
    }

    unsafe fn release(&self, range: VirtRange, _: Patience) -> Result<(), Busy> {
        self.reserved.remove(range);
        // SAFETY: the caller promises a reserved range that nothing uses.
        unsafe { mapping::give_back(range) };
        Ok(())
    }

    #[inline]
    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        NonNull::new(ptr::with_exposed_provenance_mut(addr.value())).unwrap_or(NonNull::dangling())
    }

    #[inline]
    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        let addr = VirtAddr::new(pointer.addr().get());
        GEOMETRY.offset(addr).map(|_| addr)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for range in self.reserved.iter() {
            // SAFETY:
            // - the range was reserved, and not released;
            // - who drops a machine uses none of its memory any more.
            unsafe { mapping::give_back(range) };
        }
    }
}
