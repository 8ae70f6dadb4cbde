use core::ptr::NonNull;
use archipelago_api::*;
pub struct Silent;
impl Kernel for Silent {
    fn disable_interrupts() -> InterruptState { InterruptState::Masked }
    fn restore_interrupts(_: InterruptState) {}
    fn interrupts_enabled() -> bool { false }
    fn stop(_: &Report) -> ! { loop {} }
}
pub struct Block { pub start: NonNull<u8>, pub bytes: usize }
unsafe impl Send for Block {}
unsafe impl Sync for Block {}
unsafe impl Machine for Block {
    const GEOMETRY: Geometry = Geometry { address_bits: 24, base: 0x2000_0000, granule_shift: 10, page_shift: 10, chunk_shift: 16, arena_shift: 16, index_root_shift: 0, index_table_shift: 8 };
    const DECOMMITS: bool = false;
    type IndexRoot = [IndexWord; 1];
    fn reserve(&self, range: VirtRange, _: Patience) -> Result<(), ReserveError> {
        let _ = range; Ok(())
    }
    unsafe fn prepare(&self, _: VirtRange, _: Patience) -> Result<(), PrepareError> { Ok(()) }
    unsafe fn commit(&self, _: VirtRange, _: Patience) -> Result<Contents, CommitError> { Ok(Contents::Unknown) }
    unsafe fn decommit(&self, _: VirtRange, _: Patience) -> Result<(), Busy> { Ok(()) }
    unsafe fn fault(&self, _: VirtRange, _: Patience) -> Result<(), Busy> { Ok(()) }
    unsafe fn release(&self, _: VirtRange, _: Patience) -> Result<(), Busy> { Ok(()) }
    fn pointer(&self, addr: VirtAddr) -> NonNull<u8> {
        let offset = addr.value().wrapping_sub(self.start.addr().get());
        unsafe { NonNull::new_unchecked(self.start.as_ptr().wrapping_add(offset)) }
    }
    fn address(&self, pointer: NonNull<u8>) -> Option<VirtAddr> {
        let offset = pointer.addr().get().wrapping_sub(self.start.addr().get());
        if offset < self.bytes { Some(VirtAddr::new(pointer.addr().get())) } else { None }
    }
}
