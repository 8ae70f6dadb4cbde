//! Bad input: windows that break a rule, and pointers that break the contract.

mod foreign;
mod init;
mod misuse;
mod smallest;
mod windows;
