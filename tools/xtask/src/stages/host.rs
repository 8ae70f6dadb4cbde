//! The tests that run on the host.

use std::process::Command;

use super::explain;
use crate::process::{self, Progress};
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

/// What a heap with a bitmap is built of, in one way for all of its tests.
const BITMAP: &[&str] = &[
    "-p",
    "archipelago",
    "-p",
    "archipelago-bench",
    "-p",
    "archipelago-derive",
    "-F",
    "archipelago/heap-bits,archipelago-bench/heap-bits",
];

/// The tests of a heap with a bitmap: those of what is another heap then, as it grows, scavenges,
/// fails and accounts for its memory, and those of the maps that are derived. `cargo test -p
/// archipelago -F archipelago/heap-bits` runs all of the heap's, for which most of the time is the
/// compiler's.
const WITH_BITMAP: &[(&str, &[&str])] = &[
    (
        "cargo test, heap bitmap",
        &[
            "--lib",
            "--test",
            "scannable",
            "--test",
            "injection",
            "--test",
            "flat_footprint",
            "--test",
            "heap",
            "--test",
            "global_alloc",
            "--test",
            "model",
            "--test",
            "bitmap",
            "--test",
            "layouts",
        ],
    ),
    ("cargo test, heap bitmap's examples", &["--doc"]),
];

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    let mut command = toolchain.cargo("test");
    command
        .current_dir(project::root())
        .args(["--exclude", "archipelago-derive"])
        .args(["--workspace", "--no-fail-fast"]);
    follow(stage, "cargo test", &mut command);
    for (name, tests) in WITH_BITMAP {
        let mut command = toolchain.cargo("test");
        command
            .current_dir(project::root())
            .arg("--no-fail-fast")
            .args(BITMAP)
            .args(*tests);
        follow(stage, name, &mut command);
    }
}

/// Runs a `cargo test` and counts its tests, of which there must be one.
pub(super) fn follow(stage: &mut Stage, name: &str, command: &mut Command) {
    follow_at_least(1, stage, name, command);
}

/// The same for a number of tests that are asked for: a name that no test has any more is a failure.
pub(super) fn follow_at_least(least: usize, stage: &mut Stage, name: &str, command: &mut Command) {
    let mut progress = Progress::start(name);
    let mut counts = Counts::default();
    let result = process::run(command, None, |line| {
        counts.add(line);
        progress.update(&format!("{} tests; {line}", counts.passed + counts.failed));
    });
    let success = result
        .as_ref()
        .is_ok_and(|finished| finished.ending.success());
    if !success && counts.failed == 0 {
        // A test that does not compile, or that ended its whole process, has no line of its own.
        counts.failed = 1;
    }
    counts.expect_at_least(least);
    let ignored = counts.ignored;
    let outcome = format!(
        "{} passed, {} failed, {ignored} ignored",
        counts.passed, counts.failed
    );
    progress.finish(&outcome);
    stage.count(counts.passed, counts.failed);
    if counts.failed > 0 {
        explain(command, &result);
    }
}

/// Sums over the result lines of the test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Counts as failed the tests that should have been among those that passed, and were not there.
    fn expect_at_least(&mut self, least: usize) {
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        if self.failed == 0 {
            self.failed = least.saturating_sub(self.passed);
        }
    }

    /// Adds what a line says, if it is a result line.
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
