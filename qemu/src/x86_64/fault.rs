//! Faults: how the processor reports an instruction that it could not carry out.

use core::fmt;

use x86_64::structures::idt::PageFaultErrorCode;

use crate::fault::{Access, Fault, Reason};

/// Vector of the page fault.
pub(super) const PAGE_FAULT: u8 = 14;
/// Vector of the general protection fault.
const GENERAL_PROTECTION: u8 = 13;

/// An exception, in the processor's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The exception's number.
    vector: u8,
    /// The error code; 0 where the exception has none.
    error: u64,
}

impl Cause {
    fn name(self) -> &'static str {
        match self.vector {
            0 => "division error",
            1 => "debug exception",
            2 => "non-maskable interrupt",
            3 => "breakpoint",
            4 => "overflow",
            5 => "bound exceeded",
            6 => "invalid instruction",
            7 => "device not available",
            8 => "double fault",
            10 => "invalid task state",
            11 => "segment not present",
            12 => "stack segment fault",
            13 => "general protection fault",
            14 => "page fault",
            16 => "x87 error",
            17 => "alignment check",
            18 => "machine check",
            19 => "SIMD error",
            _ => "unexpected interrupt",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vector, error } = self;
        write!(f, "{} (vector {vector}, error {error:#x})", self.name())
    }
}

/// The fault of an exception; `touched` is the address that the processor reports for a page fault.
pub(super) fn fault(vector: u8, error: u64, touched: usize, instruction: usize) -> Fault {
    let cause = Cause { vector, error };
    if vector != PAGE_FAULT {
        return Fault {
            cause,
            access: None,
            reason: if vector == GENERAL_PROTECTION {
                Reason::NotAnAddress
            } else {
                Reason::Other
            },
            address: None,
            instruction,
        };
    }
    let why = PageFaultErrorCode::from_bits_truncate(error);
    let access = if why.contains(PageFaultErrorCode::INSTRUCTION_FETCH) {
        Access::Execute
    } else if why.contains(PageFaultErrorCode::CAUSED_BY_WRITE) {
        Access::Write
    } else {
        Access::Read
    };
    let reason = if why.contains(PageFaultErrorCode::MALFORMED_TABLE) {
        Reason::Other
    } else if why.contains(PageFaultErrorCode::PROTECTION_VIOLATION) {
        Reason::Forbidden
    } else {
        Reason::NotMapped
    };
    Fault {
        cause,
        access: Some(access),
        reason,
        address: Some(touched),
        instruction,
    }
}
