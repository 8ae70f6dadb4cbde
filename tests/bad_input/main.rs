//! Bad input: windows that break a rule, and pointers that break the contract.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod foreign;
mod init;
mod misuse;
mod windows;
