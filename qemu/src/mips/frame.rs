//! The registers of interrupted code.

/// The interrupted code's registers, as the general vector saves and restores them.
#[derive(Debug)]
#[repr(C)]
pub(super) struct TrapFrame {
    /// By number; 0, 26 and 27 are not saved.
    general: [usize; 32],
    pub(super) hi: usize,
    pub(super) lo: usize,
    pub(super) status: usize,
    pub(super) cause: usize,
    /// The instruction that was interrupted, or the branch before it whose delay slot it is in.
    pub(super) epc: usize,
    pub(super) bad_address: usize,
}

impl TrapFrame {
    /// Where the function that was running returns to, if it has not called another.
    pub(super) fn return_address(&self) -> usize {
        self.general[31]
    }
}
