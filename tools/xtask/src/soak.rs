//! `cargo xtask soak` and `cargo xtask loom`: models that run for long. The test run has a short
//! version of each.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::process::{self, Progress};
use crate::setup::Install;
use crate::smp;
use crate::toolchain::Toolchain;

/// The options of `cargo xtask soak`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Soak {
    /// Operations of the model, over all geometries.
    #[arg(long, default_value_t = 100_000_000)]
    operations: u64,
    /// The seed of the first round; a failing round prints its own.
    #[arg(long)]
    seed: Option<u64>,
    /// Run the tests of `tests/heap/regression` this many times instead: what threads get wrong
    /// shows once in many runs.
    #[arg(long, value_name = "TIMES", conflicts_with_all = ["operations", "seed"])]
    regressions: Option<u32>,
    /// Step through so many calls of each kind of kernel instead, with an interrupt after every
    /// instruction. Takes an x86_64 host that runs Linux.
    #[arg(long, value_name = "CALLS", conflicts_with_all = ["operations", "regressions"])]
    steps: Option<u32>,
    /// Boot kernels of so many CPUs instead, which use one heap all at once.
    #[arg(long, value_name = "CPUS")]
    smp: Option<u32>,
    /// How often each machine boots.
    #[arg(long, default_value_t = 50, requires = "smp")]
    boots: u64,
}

/// Runs the model test for many operations, or stepped calls, in the release profile; or the
/// regression tests, or kernels of several CPUs, many times; with progress.
///
/// # Errors
/// If cargo cannot be started, or kernels cannot be built or booted.
pub(crate) fn soak(options: Soak, install: Install) -> Result<ExitCode> {
    if let Some(cpus) = options.smp {
        return smp::soak(cpus, options.boots, options.seed.unwrap_or(1), install);
    }
    let toolchain = Toolchain::detect()?;
    if let Some(times) = options.regressions {
        return repeat(&toolchain, times);
    }
    let mut command = toolchain.cargo("test");
    if let Some(calls) = options.steps {
        command.args(["--release", "--package", "archipelago-host"]);
        command.args(["--test", "step", "--", "--nocapture"]);
        command.env("ARCHIPELAGO_STEPS", calls.to_string());
    } else {
        command.args(["--release", "--test", "model", "--", "--nocapture"]);
        command.env("ARCHIPELAGO_OPERATIONS", options.operations.to_string());
    }
    if let Some(seed) = options.seed {
        command.env("ARCHIPELAGO_SEED", seed.to_string());
    }
    follow(command)
}

/// Runs the regression tests `times` times, and shows what the runs printed that failed.
fn repeat(toolchain: &Toolchain, times: u32) -> Result<ExitCode> {
    let mut command = toolchain.cargo("test");
    command.args(["--test", "heap", "--", "regression::"]);
    let mut progress = Progress::start(process::describe(&command));
    let mut lines = Vec::new();
    let mut failed = 0;
    for run in 1..=times {
        let finished = process::run(&mut command, None, |_| ())?;
        if !finished.ending.success() {
            failed += 1;
            lines.extend(finished.lines);
        }
        progress.update(&format!("{run} of {times} runs, {failed} failed"));
    }
    progress.finish_with(&format!("{times} runs, {failed} failed"), &lines);
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Runs the models under loom, optimised.
///
/// # Errors
/// If cargo cannot be started.
pub(crate) fn loom() -> Result<ExitCode> {
    let toolchain = Toolchain::detect()?;
    let mut command = toolchain.cargo("test");
    command.args(["--release", "--package", "archipelago-loom"]);
    follow(command)
}

/// Runs all commands, one after the other, and returns whether all of them succeeded.
pub(crate) fn follow_all(commands: impl IntoIterator<Item = Command>) -> Result<ExitCode> {
    let mut all = ExitCode::SUCCESS;
    for command in commands {
        let code = follow(command)?;
        if code != ExitCode::SUCCESS {
            all = code;
        }
    }
    Ok(all)
}

/// Runs a command in the user's terminal and returns whether it succeeded.
pub(crate) fn follow(mut command: Command) -> Result<ExitCode> {
    println!("{}", process::describe(&command));
    let status = command.status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
