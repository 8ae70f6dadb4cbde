//! The registers of interrupted code.

/// The interrupted code's registers, in the order in which the stubs push them.
#[derive(Debug)]
#[repr(C)]
pub(super) struct TrapFrame {
    general: [u64; 15],
    pub(super) vector: u64,
    pub(super) error: u64,
    pub(super) rip: u64,
    code_segment: u64,
    flags: u64,
    pub(super) rsp: u64,
    stack_segment: u64,
}
