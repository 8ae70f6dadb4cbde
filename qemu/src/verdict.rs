//! The result of a kernel, for the harness.

/// The result of a kernel, which the harness reads from QEMU's exit code. Every other end of QEMU
/// (a reset, a signal, a timeout) counts as a failure of the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every test passed.
    Pass,
    /// A test failed, or the kernel stopped itself.
    Fail,
}

impl Verdict {
    /// QEMU's exit code. None is 0, with which a machine that resets itself ends.
    #[must_use]
    pub const fn exit_code(self) -> u32 {
        match self {
            Self::Pass => 33,
            Self::Fail => 35,
        }
    }
}
