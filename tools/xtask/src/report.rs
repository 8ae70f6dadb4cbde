//! What the stages of a test found, and the summary at the end.

use core::fmt::Write;
use core::time::Duration;
use std::time::Instant;

/// Counts of one stage.
#[derive(Debug)]
pub(crate) struct Stage {
    name: &'static str,
    passed: u64,
    failed: u64,
    /// What could not be tested, with the reason. Counted as neither.
    skipped: Vec<String>,
    start: Instant,
    elapsed: Duration,
}

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
            start,
            elapsed: Duration::ZERO,
        }
    }

    /// Counts tests that passed and tests that failed.
    pub(crate) fn count(&mut self, passed: u64, failed: u64) {
        self.passed += passed;
        self.failed += failed;
    }

    /// Notes what could not be tested, and why.
    pub(crate) fn skip(&mut self, what: &str, reason: &str) {
        println!("  {what}: skipped, {reason}");
        self.skipped
            .push(format!("{}: {what}: {reason}", self.name));
    }

    /// Stops the clock.
    pub(crate) fn finish(mut self) -> Self {
        self.elapsed = self.start.elapsed();
        self
    }
}

/// A table with one row per stage, what was skipped, and the closing line. Also says whether
/// everything passed: a test that tested nothing did not.
pub(crate) fn summary(stages: &[Stage]) -> (String, bool) {
    let mut text = format!(
        "\n{:<8}{:>8}{:>8}{:>10}\n",
        "stage", "passed", "failed", "seconds"
    );
    let mut line = |stage: &Stage| {
        let seconds = stage.elapsed.as_secs_f64();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<8}{:>8}{:>8}{seconds:>10.1}",
            stage.name, stage.passed, stage.failed
        );
    };
    stages.iter().for_each(&mut line);
    for skipped in stages.iter().flat_map(|stage| &stage.skipped) {
        let _ = writeln!(text, "skipped: {skipped}");
    }
    let passed: u64 = stages.iter().map(|stage| stage.passed).sum();
    let failed: u64 = stages.iter().map(|stage| stage.failed).sum();
    let _ = write!(text, "{passed} passed, {failed} failed");
    (text, failed == 0 && passed > 0)
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
    fn nothing_tested_is_not_a_pass() {
        assert!(!summary(&[stage("host", 0, 0)]).1);
    }
}
