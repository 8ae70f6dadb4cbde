//! Bad input: windows that break a rule, pointers that break the contract, and CPUs beyond those
//! declared.

mod cpus;
mod foreign;
mod init;
mod misuse;
mod smallest;
mod windows;
