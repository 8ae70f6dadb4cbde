//! The shape of the source: layers, cycles, portability, unsafe code, types, length and prose.
//!
//! Each check also runs over planted faults, which it has to find. Rust is read by a parser; only
//! checks of words and lines look at text.

#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

extern crate alloc;

mod additive;
mod comments;
mod config;
mod graph;
mod layers;
mod modules;
mod portable;
mod prose;
mod shape;
mod source;
mod types;
mod unsafe_ledger;
mod uses;
mod words;

/// Checks that do not hold everywhere yet: the check, and how the paths begin that it leaves out.
/// The list is to become empty.
const NOT_YET: &[(&str, &str)] = &[];

/// Fails if there are faults, except in files that [`NOT_YET`] leaves out of the check.
///
/// Each fault begins with the path of a file.
///
/// # Panics
/// If a fault is left.
#[track_caller]
fn none(check: &str, mut faults: Vec<String>) {
    let begins = |fault: &String, path: &str| fault.starts_with(path);
    faults.retain(|fault| {
        let mut left_out = NOT_YET.iter().filter(|(name, _)| *name == check);
        !left_out.any(|(_, path)| begins(fault, path))
    });
    assert!(faults.is_empty(), "{check}:\n{}", faults.join("\n"));
}
