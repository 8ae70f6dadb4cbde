//! Faults: how the processor reports an instruction that it could not carry out.

use core::fmt;

use crate::machine::Cause;

/// The access that an instruction tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To write.
    Write,
    /// To be fetched.
    Execute,
}

/// Why an access could not be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No page is mapped there.
    NotMapped,
    /// A page is mapped there, but forbids the access.
    Forbidden,
    /// The number is no address that the code may use: not canonical, or not for its mode.
    NotAnAddress,
    /// Another reason, which may have nothing to do with memory: the cause names it.
    Other,
}

/// A processor exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The processor's name of the exception.
    pub cause: Cause,
    /// The access that the instruction tried; `None` if it tried none, or that is not known.
    pub access: Option<Access>,
    /// Why the instruction did not get its access.
    pub reason: Reason,
    /// The address that was touched, where the processor says it.
    pub address: Option<usize>,
    /// The address of the instruction.
    pub instruction: usize,
}

/// Digits of an address, and the two characters before them.
const WIDTH: usize = 2 + size_of::<usize>() * 2;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if let Some(access) = self.access {
            f.write_str(match access {
                Access::Read => " reading",
                Access::Write => " writing",
                Access::Execute => " executing",
            })?;
        }
        if let Some(address) = self.address {
            write!(f, " {address:#0WIDTH$x}")?;
        }
        f.write_str(match self.reason {
            Reason::NotMapped => ", which is not mapped",
            Reason::Forbidden => ", which is mapped but forbids it",
            Reason::NotAnAddress => ", which is no address",
            Reason::Other => "",
        })?;
        write!(f, ", at instruction {:#0WIDTH$x}", self.instruction)
    }
}
