//! Faults: how the processor reports an instruction that it could not carry out.

use core::fmt;

use crate::fault::{Access, Fault, Reason};

/// The processor's number of an exception: Cause.ExcCode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(pub u8);

impl Cause {
    pub(super) const INTERRUPT: Self = Self(0);
    /// A store to a page that forbids it.
    pub const MODIFICATION: Self = Self(1);
    /// A load, or a fetch, where nothing is mapped.
    pub const TLB_LOAD: Self = Self(2);
    /// A store where nothing is mapped.
    pub const TLB_STORE: Self = Self(3);
    /// A load, or a fetch, at an address that is not aligned or not the program's.
    pub const ADDRESS_LOAD: Self = Self(4);
    /// A store to one.
    pub const ADDRESS_STORE: Self = Self(5);
    pub(super) const SYSTEM_CALL: Self = Self(8);

    fn name(self) -> &'static str {
        match self {
            Self::INTERRUPT => "unexpected interrupt",
            Self::MODIFICATION => "TLB modification exception",
            Self::TLB_LOAD => "TLB exception on a load",
            Self::TLB_STORE => "TLB exception on a store",
            Self::ADDRESS_LOAD => "address error on a load",
            Self::ADDRESS_STORE => "address error on a store",
            Self(6) => "bus error on a fetch",
            Self(7) => "bus error on a load",
            Self::SYSTEM_CALL => "unexpected system call",
            Self(9) => "breakpoint",
            Self(10) => "reserved instruction",
            Self(11) => "coprocessor not usable",
            Self(12) => "integer overflow",
            Self(13) => "trap",
            Self(23) => "watchpoint",
            Self(24) => "machine check",
            Self(30) => "cache error",
            _ => "exception without a name",
        }
    }

    /// The fault of an exception at `instruction`, which touched `address` if it is about one.
    pub(super) fn fault(self, address: usize, instruction: usize) -> Fault {
        let (access, reason) = match self {
            Self::MODIFICATION => (Some(Access::Write), Reason::Forbidden),
            Self::TLB_LOAD => (Some(Access::Read), Reason::NotMapped),
            Self::TLB_STORE => (Some(Access::Write), Reason::NotMapped),
            Self::ADDRESS_LOAD => (Some(Access::Read), Reason::NotAnAddress),
            Self::ADDRESS_STORE => (Some(Access::Write), Reason::NotAnAddress),
            _ => (None, Reason::Other),
        };
        let address = access.map(|_| address);
        // The processor has one exception for loads and fetches.
        let is_fetch = access == Some(Access::Read) && address == Some(instruction);
        Fault {
            cause: self,
            access: if is_fetch {
                Some(Access::Execute)
            } else {
                access
            },
            reason,
            address,
            instruction,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.name(), self.0)
    }
}
