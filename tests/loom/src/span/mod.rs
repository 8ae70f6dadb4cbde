//! Whether objects are scannable.

#[path = "../../../src/span/class/mod.rs"]
mod class;

pub(crate) use class::Scan;
