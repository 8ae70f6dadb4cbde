//! Physical memory as a kernel maps it.

use core::ptr::{self, NonNull};

use archipelago_api::PhysAddr;

/// A kernel's mapping of physical memory.
///
/// # Safety
/// An implementor promises that [`pointer`](Self::pointer) returns where the whole frame can be
/// read and written, for every frame of the kernel's frame allocator and every frame that holds a
/// page table.
pub unsafe trait PhysMap: Send + 'static {
    /// The address at which `frame` is mapped.
    ///
    /// # Safety
    /// The frame came from the kernel's frame allocator, or holds a page table.
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8>;
}

/// Physical memory mapped at its own addresses plus an offset, which may be 0.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    offset: usize,
}

impl Linear {
    /// The mapping that has physical address 0 at address `offset`; sums wrap.
    ///
    /// # Safety
    /// Every frame of the kernel's frame allocator, and every frame that holds a page table, is
    /// - mapped there, read-write, as ordinary memory;
    /// - not at address 0;
    /// - below 2^32 where addresses have 32 bits.
    #[must_use]
    pub const unsafe fn at(offset: usize) -> Self {
        Self { offset }
    }
}

// SAFETY: the caller of `Linear::at` promised that frames are mapped at the offset.
unsafe impl PhysMap for Linear {
    unsafe fn pointer(&self, frame: PhysAddr) -> NonNull<u8> {
        // No address is lost in the conversion, as `at` was promised.
        let address = usize::try_from(frame.value()).unwrap_or(0);
        let pointer = ptr::with_exposed_provenance_mut(address.wrapping_add(self.offset));
        // SAFETY: `at` was promised that no frame is mapped at address 0.
        unsafe { NonNull::new_unchecked(pointer) }
    }
}
