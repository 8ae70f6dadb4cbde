//! Judging a boot: how the kernel ended, beside how it has to end.

use anyhow::Result;

use crate::kernels::Expected;
use crate::process::Finished;
use crate::qemu::Verdict;

/// The tests that a boot passed and failed.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// The outcome, as the progress line says it.
    pub(super) text: String,
}

impl Judged {
    /// Judges how a kernel ended that has to end as `expected` says.
    pub(super) fn of(expected: Expected, result: &Result<Finished>) -> Self {
        let Ok(finished) = result else {
            return Self {
                passed: 0,
                failed: 1,
                text: "FAILED to start".to_owned(),
            };
        };
        let verdict = Verdict::of(finished.ending, &finished.lines);
        let met = expected.met_by(&verdict, &finished.lines);
        match (expected, &verdict) {
            (Expected::Pass, Verdict::Passed { tests }) if met => Self {
                passed: *tests,
                failed: 0,
                text: format!("{tests} tests ok"),
            },
            // A kernel that has to fail is one test of the harness.
            (_, verdict) if met => Self {
                passed: 1,
                failed: 0,
                text: format!("ok, it has to fail: {verdict}"),
            },
            (Expected::Pass, verdict) => {
                let text = format!("FAILED: {verdict}");
                let (tests, passed) = verdict.counts();
                Self {
                    passed,
                    failed: tests.saturating_sub(passed).max(1),
                    text,
                }
            }
            (_, verdict) => Self {
                passed: 0,
                failed: 1,
                text: format!("FAILED: it has to end as {expected:?}, but: {verdict}"),
            },
        }
    }
}
