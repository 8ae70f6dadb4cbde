//! The results of a test's stages, and the summary at the end.

use core::fmt::Write;
use core::time::Duration;
use std::time::Instant;

use crate::table::{Side, render};

/// Counts of one stage.
#[derive(Debug)]
pub(crate) struct Stage {
    name: &'static str,
    passed: u64,
    failed: u64,
    /// The tests that could not be run, with the reason. They count as neither.
    skipped: Vec<String>,
    /// How long each step took, by its name.
    steps: Vec<(String, Duration)>,
    start: Instant,
    elapsed: Duration,
}

/// Steps that take as long as this have a line of their own in the summary.
const LONG: Duration = Duration::from_secs(10);

impl Stage {
    /// Announces a stage.
    pub(crate) fn start(name: &'static str) -> Self {
        println!("{name}");
        let start = Instant::now();
        Self {
            name,
            passed: 0,
            failed: 0,
            skipped: Vec::new(),
            steps: Vec::new(),
            start,
            elapsed: Duration::ZERO,
        }
    }

    /// Counts tests that passed and tests that failed.
    pub(crate) fn count(&mut self, passed: u64, failed: u64) {
        self.passed += passed;
        self.failed += failed;
    }

    /// Notes that `what` could not be tested, and why.
    pub(crate) fn skip(&mut self, what: &str, reason: &str) {
        println!("  {what}: skipped, {reason}");
        self.skipped
            .push(format!("{}: {what}: {reason}", self.name));
    }

    /// Notes how long a step took.
    pub(crate) fn took(&mut self, step: &str, elapsed: Duration) {
        self.steps.push((step.to_owned(), elapsed));
    }

    /// Stops the clock.
    pub(crate) fn finish(mut self) -> Self {
        self.elapsed = self.start.elapsed();
        self
    }
}

/// The summary: a table with the results and the seconds of each stage and of its long steps, the
/// tests that were skipped, and the closing line. Also returns whether everything passed: a test
/// run without a test did not.
pub(crate) fn summary(stages: &[Stage]) -> (String, bool) {
    let passed: u64 = stages.iter().map(|stage| stage.passed).sum();
    let failed: u64 = stages.iter().map(|stage| stage.failed).sum();
    let elapsed = stages.iter().map(|stage| stage.elapsed).sum();

    let mut lines = vec![row("stage", ["passed", "failed", "seconds"])];
    for stage in stages {
        let counts = [stage.passed, stage.failed].map(|count| count.to_string());
        let [passed, failed] = &counts;
        lines.push(row(stage.name, [passed, failed, &seconds(stage.elapsed)]));
        for (step, elapsed) in stage.steps.iter().filter(|(_, elapsed)| *elapsed >= LONG) {
            lines.push(row(&format!("  {step}"), ["", "", &seconds(*elapsed)]));
        }
    }
    lines.push(row("total", ["", "", &seconds(elapsed)]));
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right];
    let mut text = format!("\n{}", render(&lines, &sides, 0));
    for skipped in stages.iter().flat_map(|stage| &stage.skipped) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "skipped: {skipped}");
    }
    let _ = write!(text, "{passed} passed, {failed} failed");
    (text, failed == 0 && passed > 0)
}

/// A line of the summary's table.
fn row(name: &str, numbers: [&str; 3]) -> Vec<String> {
    let cells = [name].into_iter().chain(numbers);
    cells.map(str::to_owned).collect()
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1}", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &'static str, passed: u64, failed: u64) -> Stage {
        let mut stage = Stage::start(name);
        stage.count(passed, failed);
        stage.finish()
    }

    #[test]
    fn the_last_line_holds_the_sums_and_nothing_else() {
        let (text, passed) = summary(&[stage("lint", 3, 0), stage("host", 40, 2)]);
        assert_eq!(text.lines().last(), Some("43 passed, 2 failed"));
        assert!(!passed);
    }

    #[test]
    fn what_was_skipped_is_listed_and_counts_as_nothing() {
        let mut build = stage("build", 1, 0);
        build.skip("msrv", "no such toolchain");
        let (text, passed) = summary(&[build]);
        assert!(text.contains("skipped: build: msrv: no such toolchain"));
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed"));
        assert!(passed);
    }

    #[test]
    fn long_steps_have_a_row_and_short_ones_have_none() {
        let mut host = stage("host", 1, 0);
        host.took("cargo test", Duration::from_secs(70));
        host.took("examples", Duration::from_secs(9));
        let (text, _) = summary(&[host]);
        let of = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(name));
            line.and_then(|line| line.split_whitespace().last())
        };
        assert_eq!(of("cargo test"), Some("70.0"));
        assert_eq!(of("examples"), None);
        assert!(of("total").is_some());
    }

    #[test]
    fn nothing_tested_is_not_a_pass() {
        assert!(!summary(&[stage("host", 0, 0)]).1);
    }
}
