//! The registers of interrupted code.

/// The interrupted code's registers, in the order in which the vectors push them.
#[derive(Debug)]
#[repr(C)]
pub(super) struct TrapFrame {
    /// The link register of supervisor mode.
    pub(super) link: u32,
    general: [u32; 13],
    pub(super) pc: u32,
    status: u32,
}
