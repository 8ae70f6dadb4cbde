//! The tests' shared functions: the recorded traces, and records to make others of.

use std::path::{Path, PathBuf};

use archipelago_traces::Block;
use archipelago_traces::trace::{Summary, TraceError, Workspace, validate};

pub(crate) fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded")
}

pub(crate) fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(traces().join(format!("{name}.trace.gz"))).unwrap()
}

/// Room for more blocks than any recorded program has.
pub(crate) fn table() -> Vec<Block> {
    vec![Block::UNUSED; 1 << 16]
}

pub(crate) fn check(file: &[u8]) -> Result<Summary, TraceError> {
    validate(file, &mut Workspace::new(), &mut table())
}

pub(crate) fn record(operation: u8, log2_align: u8, id: u32, size: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = operation;
    bytes[1] = log2_align;
    bytes[4..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..].copy_from_slice(&size.to_le_bytes());
    bytes
}

pub(crate) fn allocate(id: u32, size: u32) -> [u8; 12] {
    record(0, 4, id, size)
}

pub(crate) fn reallocate(id: u32, size: u32) -> [u8; 12] {
    record(2, 4, id, size)
}

pub(crate) fn free(id: u32) -> [u8; 12] {
    record(3, 0, id, 0)
}
