//! Faults: how the processor reports an instruction that it could not carry out.

use core::fmt;

use crate::fault::{Access, Fault, Reason};

/// The kind of an exception, by its vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Undefined,
    Prefetch,
    Data,
    FastInterrupt,
}

/// An exception, in the processor's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    kind: Kind,
    /// DFSR or IFSR; 0 where the exception has none.
    status: u32,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status;
        match self.kind {
            Kind::Undefined => f.write_str("undefined instruction"),
            Kind::Prefetch => write!(f, "prefetch abort (status {status:#x})"),
            Kind::Data => write!(f, "data abort (status {status:#x})"),
            Kind::FastInterrupt => f.write_str("unexpected fast interrupt"),
        }
    }
}

/// DFSR.WnR: it was a write.
const WRITE: u32 = 1 << 11;

/// The reason that the fault status gives (DDI 0406C, B3.13.3, for short descriptors).
fn reason(status: u32) -> Reason {
    match status >> 6 & 1 << 4 | status & 0xf {
        // Translation faults of both levels.
        0b0_0101 | 0b0_0111 => Reason::NotMapped,
        // Permission faults of both levels.
        0b0_1101 | 0b0_1111 => Reason::Forbidden,
        _ => Reason::Other,
    }
}

/// The fault of an exception, from the values of the fault registers.
pub(super) fn fault(kind: Kind, status: u32, touched: usize, instruction: usize) -> Fault {
    let (access, address) = match kind {
        Kind::Data if status & WRITE != 0 => (Some(Access::Write), Some(touched)),
        Kind::Data => (Some(Access::Read), Some(touched)),
        Kind::Prefetch => (Some(Access::Execute), Some(touched)),
        Kind::Undefined | Kind::FastInterrupt => (None, None),
    };
    Fault {
        cause: Cause { kind, status },
        access,
        reason: access.map_or(Reason::Other, |_| reason(status)),
        address,
        instruction,
    }
}
