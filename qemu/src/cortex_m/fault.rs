//! Faults: how the processor reports an instruction that it could not carry out.

use core::fmt;

use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, exception};

use crate::fault::{Fault, Reason};
use crate::report::stop;

/// A fault, in the processor's own terms: the status registers of the hard fault and of the fault
/// that it was escalated from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    hard: u32,
    configurable: u32,
}

/// The bus fault's address is known.
const ADDRESS_IS_VALID: u32 = 1 << 15;
/// The bus refused a fetch, or an access to data.
const BUS_ERROR: u32 = 0x1f << 8;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hard, configurable } = self;
        let name = match configurable {
            bits if bits & BUS_ERROR != 0 => "bus fault",
            bits if bits >> 16 != 0 => "usage fault",
            _ => "hard fault",
        };
        write!(f, "{name} (HFSR {hard:#x}, CFSR {configurable:#x})")
    }
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    // SAFETY: every Cortex-M3 has the System Control Block at this address.
    let registers = unsafe { &*SCB::PTR };
    let cause = Cause {
        hard: registers.hfsr.read(),
        configurable: registers.cfsr.read(),
    };
    let has_address = cause.configurable & ADDRESS_IS_VALID != 0;
    let address = registers.bfar.read();
    let fault = Fault {
        cause,
        access: None,
        reason: if cause.configurable & BUS_ERROR == 0 {
            Reason::Other
        } else {
            Reason::NotMapped
        },
        address: has_address.then_some(address as usize),
        instruction: frame.pc() as usize,
    };
    stop(format_args!("{fault}"))
}
