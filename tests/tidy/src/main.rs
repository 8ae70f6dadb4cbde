//! The shape of the source: layers, cycles, portability, unsafe code, types, features, length and
//! prose.
//!
//! Each check also runs over planted faults, which it has to find. Rust is read by a parser; only
//! checks of words and lines look at text.

#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

extern crate alloc;

mod additive;
mod comments;
mod config;
mod features;
mod graph;
mod layers;
mod modules;
mod portable;
mod prose;
mod quotes;
mod shape;
mod source;
mod types;
mod unsafe_ledger;
mod uses;
mod words;

/// Fails if there are faults, each of which begins with the path of a file.
///
/// # Panics
/// If there is a fault.
#[track_caller]
fn none(check: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{check}:\n{}", faults.join("\n"));
}
