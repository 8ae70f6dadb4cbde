//! What the processor says about an instruction that it could not carry out.

use core::fmt;

use crate::machine::Cause;

/// What the instruction wanted of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To write.
    Write,
    /// To be fetched.
    Execute,
}

/// Why it could not be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is mapped there.
    NotMapped,
    /// Something is mapped there, but not for this access.
    Forbidden,
    /// It is no address that the code may name: not canonical, or not for its mode.
    NotAnAddress,
    /// Something that is none of the above, or no matter of memory: the cause says what.
    Other,
}

/// A processor exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the processor calls it.
    pub cause: Cause,
    /// What the instruction wanted of memory; `None` where that was not it, or is not known.
    pub access: Option<Access>,
    /// Why it did not get it.
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
