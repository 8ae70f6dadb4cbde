//! Placeholder crate root.
#![no_std]
