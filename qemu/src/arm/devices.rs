//! Where the board's devices are: QEMU's `virt`, whose memory map is fixed.

use core::ptr::NonNull;

use volatile::VolatilePtr;

/// The serial port, a PL011.
pub(super) const SERIAL_PORT: usize = 0x0900_0000;
/// The interrupt controller's distributor, a GIC of version 2.
pub(super) const DISTRIBUTOR: usize = 0x0800_0000;
/// The interrupt controller's interface to this CPU.
pub(super) const CPU_INTERFACE: usize = 0x0801_0000;

/// A register of 32 bits of one of the devices, at an offset.
pub(super) fn register(device: usize, offset: usize) -> VolatilePtr<'static, u32> {
    let address = core::ptr::with_exposed_provenance_mut(device + offset);
    let address = NonNull::new(address).expect("no device is at address 0");
    // SAFETY:
    // - The entry code maps the devices for good, and all their registers are words.
    // - Rust knows of no other memory there.
    unsafe { VolatilePtr::new(address) }
}
