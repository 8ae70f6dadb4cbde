//! The progress of the suite: which rule begins.

use core::fmt;

/// A rule that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The rule's name.
    pub rule: &'static str,
    /// The number of the rule among those that are tested, from 1.
    pub number: usize,
    /// The number of rules that are tested.
    pub rules: usize,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.number, self.rules, self.rule)
    }
}
