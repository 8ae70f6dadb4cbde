//! What the processor says about an instruction that it could not carry out.

use core::fmt;

use x86_64::structures::idt::PageFaultErrorCode;

/// A processor exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number: 13 is a general protection fault (a non-canonical address, for one), 14 a page
    /// fault.
    pub vector: u8,
    /// The error code; 0 where the exception has none.
    pub error: u64,
    /// The address that was touched, which only a page fault gives.
    pub address: Option<u64>,
    /// The instruction.
    pub rip: u64,
}

impl Fault {
    /// Vector of the page fault.
    pub const PAGE_FAULT: u8 = 14;
    /// Vector of the general protection fault.
    pub const GENERAL_PROTECTION: u8 = 13;

    /// The page fault's reasons; none for other exceptions.
    #[must_use]
    pub fn page_fault(&self) -> Option<PageFaultErrorCode> {
        (self.vector == Self::PAGE_FAULT)
            .then(|| PageFaultErrorCode::from_bits_truncate(self.error))
    }

    fn name(&self) -> &'static str {
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
            _ => "interrupt nobody asked for",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (vector {}, error {:#x})",
            self.name(),
            self.vector,
            self.error
        )?;
        if let (Some(address), Some(reasons)) = (self.address, self.page_fault()) {
            let access = if reasons.contains(PageFaultErrorCode::INSTRUCTION_FETCH) {
                "executing"
            } else if reasons.contains(PageFaultErrorCode::CAUSED_BY_WRITE) {
                "writing"
            } else {
                "reading"
            };
            let reason = if reasons.contains(PageFaultErrorCode::MALFORMED_TABLE) {
                "whose page table entry has reserved bits set"
            } else if reasons.contains(PageFaultErrorCode::PROTECTION_VIOLATION) {
                "which is mapped but forbids it"
            } else {
                "which is not mapped"
            };
            write!(f, " {access} {address:#018x}, {reason}")?;
        }
        write!(f, ", at rip {:#018x}", self.rip)
    }
}
