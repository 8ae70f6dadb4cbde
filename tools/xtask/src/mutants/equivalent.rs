//! Mutants that no test can find, because they are no faults.

/// A mutant that does not change what the heap does, as far as anyone can tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Equivalent {
    /// The file, from the project's root.
    pub(super) file: &'static str,
    /// The mutant, as `cargo mutants` describes it.
    pub(super) mutant: &'static str,
    /// The reason why it is no fault.
    pub(super) reason: &'static str,
}

/// The mutants that may survive. Where a function has several of one description, each has an entry
/// of its own.
pub(super) const EQUIVALENT: &[Equivalent] = &[];
