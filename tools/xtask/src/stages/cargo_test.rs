//! Runs of `cargo test`, whose tests are counted.

use core::time::Duration;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use super::explain;
use crate::process::{self, Finished, Progress};
use crate::report::Stage;

/// Runs a `cargo test` and counts its tests. Fewer than `least` are a failure, since a test that is
/// asked for by name may be there no more.
pub(super) fn follow(least: usize, stage: &mut Stage, name: &str, command: &mut Command) {
    let mut progress = Progress::start(name);
    let ran = Ran::follow(least, command, |counts, line| {
        progress.update(&format!("{} tests; {line}", counts.passed + counts.failed));
    });
    progress.finish(&ran.counts.outcome());
    ran.count_in(stage, name, command);
}

/// A `cargo test` that has ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) counts: Counts,
    result: Result<Finished>,
    pub(super) elapsed: Duration,
}

impl Ran {
    /// Runs the command, which has to have `least` tests, and passes the counts and each line of
    /// its output to `on_line`.
    pub(super) fn follow(
        least: usize,
        command: &mut Command,
        mut on_line: impl FnMut(&Counts, &str),
    ) -> Self {
        let start = Instant::now();
        let mut counts = Counts::default();
        let mut result = process::run(command, None, |line| {
            counts.add(line);
            on_line(&counts, line);
        });
        if let Ok(finished) = &mut result {
            finished.lines.retain(|line| explains(line));
        }
        let success = result
            .as_ref()
            .is_ok_and(|finished| finished.ending.success());
        if !success && counts.failed == 0 {
            // A test that does not compile, or that ended its process, has no line of its own.
            counts.failed = 1;
        }
        counts.expect_at_least(least);
        Self {
            counts,
            result,
            elapsed: start.elapsed(),
        }
    }

    /// Adds the counts to a stage, and prints the output if a test failed.
    pub(super) fn count_in(&self, stage: &mut Stage, name: &str, command: &Command) {
        stage.took(name, self.elapsed);
        stage.count(self.counts.passed, self.counts.failed);
        if self.counts.failed > 0 {
            explain(command, &self.result);
        }
    }
}

/// Whether a line helps to understand a failure: those of passed tests and built packages do not.
fn explains(line: &str) -> bool {
    let is_progress = ["Compiling ", "Checking ", "Downloaded "]
        .iter()
        .any(|word| line.trim_start().starts_with(word));
    let is_passed = line.starts_with("test ") && line.ends_with(" ... ok");
    !is_progress && !is_passed
}

/// Sums over the result lines of the test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// The counts in words.
    pub(super) fn outcome(&self) -> String {
        let Self {
            passed,
            failed,
            ignored,
        } = self;
        format!("{passed} passed, {failed} failed, {ignored} ignored")
    }

    /// Counts as failed those of `least` tests that are not among the ones that passed.
    fn expect_at_least(&mut self, least: usize) {
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        if self.failed == 0 {
            self.failed = least.saturating_sub(self.passed);
        }
    }

    /// Adds the counts of a line, if it is a result line.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        // "ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s"
        for part in result.split(['.', ';']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_are_not_there_have_failed() {
        let mut counts = Counts {
            passed: 3,
            ..Counts::default()
        };
        counts.expect_at_least(3);
        assert_eq!(counts.failed, 0);
        counts.expect_at_least(5);
        assert_eq!(counts.failed, 2);
    }

    #[test]
    fn failures_are_shown_without_the_tests_that_passed() {
        for line in ["test a::b ... ok", "   Compiling archipelago v0.1.0"] {
            assert!(!explains(line), "{line}");
        }
        for line in ["test a::b ... FAILED", "error: one", "left: 1", "ok"] {
            assert!(explains(line), "{line}");
        }
    }

    #[test]
    fn result_lines_add_up_and_other_lines_count_for_nothing() {
        let mut counts = Counts::default();
        for line in [
            "running 5 tests",
            "test a ... ok",
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished",
            "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; f",
        ] {
            counts.add(line);
        }
        assert_eq!(
            counts,
            Counts {
                passed: 12,
                failed: 2,
                ignored: 1
            }
        );
    }
}
