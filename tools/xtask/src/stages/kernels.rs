//! Kernels under QEMU.

use std::path::PathBuf;

use anyhow::Result;

use super::step;
use crate::kernels::{self, EXAMPLES, Expected, KERNELS, Kernel};
use crate::machine::{Machine, MemorySize};
use crate::process::{Finished, Progress};
use crate::project;
use crate::qemu::{Boot, Verdict};
use crate::report::Stage;
use crate::run::{self, Profile};
use crate::toolchain::Toolchain;

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, machine: &Machine) {
    let packages = [
        ("kernels", project::kernels_manifest(), KERNELS),
        ("examples", project::examples_manifest(), EXAMPLES),
    ];
    for (what, package, kernels) in packages {
        for feature in kernels::FEATURES {
            let bins = kernels::choose(kernels, machine, feature);
            if bins.is_empty() {
                continue;
            }
            let mut build = run::build_of(&package, toolchain, machine, Profile::Checked, &bins);
            let with = feature.map_or_else(String::new, |feature| format!(" with {feature}"));
            let name = format!("{}: build the {what}{with}", machine.name);
            if !step(stage, &name, &mut build) {
                return;
            }
        }
        for kernel in kernels.iter().filter(|kernel| kernel.runs_on(machine)) {
            for memory in kernel.memory_sizes(machine) {
                boot(stage, machine, kernel, memory);
            }
        }
    }
}

fn boot(stage: &mut Stage, machine: &Machine, kernel: &Kernel, memory: MemorySize) {
    let module: Option<PathBuf> = kernel.module.map(|file| project::root().join(file));
    let boot = Boot {
        machine,
        kernel: run::kernel_file(machine, Profile::Checked, kernel.name),
        memory,
        module: module.as_deref(),
        command_line: kernel.command_line.to_owned(),
        count_instructions: kernel.counted,
        limit: kernel.limit,
    };
    let what = format!(
        "{}: {}, {}",
        machine.name,
        kernel.title(),
        memory.in_words()
    );
    let mut progress = Progress::start(what);
    let result = boot.run(|line| progress.update(line));
    let judged = Judged::of(kernel.expected, &result);
    progress.finish(&judged.text);
    stage.count(judged.passed, judged.failed);
    if judged.failed == 0 {
        return;
    }
    match &result {
        Ok(finished) => finished
            .lines
            .iter()
            .for_each(|line| println!("  | {line}")),
        Err(error) => println!("  | {error:#}"),
    }
}

/// What a boot counts for.
#[derive(Debug)]
struct Judged {
    passed: u64,
    failed: u64,
    text: String,
}

impl Judged {
    fn of(expected: Expected, result: &Result<Finished>) -> Self {
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
