//! Building kernels, and booting those of `cargo xtask run` and `cargo xtask replay`.

pub(crate) mod figures;
mod table;

use core::fmt;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use archipelago_traces::Block;
use archipelago_traces::trace::{self, TraceError, Workspace};

use crate::figures::{Figures as Collected, Judgement, PEAKS_ON, Stale};
use crate::kernels::REPLAY;
use crate::machine::{Machine, Machines, Memory, MemorySize};
use crate::process::{self, Progress};
use crate::project;
use crate::qemu::{Boot, Verdict};
use crate::setup::{Install, Needs};
use crate::toolchain::Toolchain;
use figures::Figures;
use table::{Outcome, Row};

/// Far above what any trace takes.
const LIMIT: Duration = Duration::from_secs(1800);

/// The kernel's command line: figures to print.
const ASKED_FOR: &str = "picture instructions";

/// An input of the user that cannot be used.
#[derive(Debug)]
pub(crate) struct BadInput(pub(crate) String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for BadInput {}

/// How kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// With debug assertions and overflow checks, for the tests.
    Checked,
    /// As a kernel would be shipped, for measurements.
    Optimized,
    /// As [`Checked`](Self::Checked) and not optimised at all, to measure the stack.
    Unoptimized,
}

/// The command that builds kernels; `which` are cargo's arguments that choose them.
pub(crate) fn build(
    toolchain: &Toolchain,
    machine: &Machine,
    profile: Profile,
    which: &[&str],
) -> Command {
    let mut build = toolchain.cargo_for("build", machine.target);
    build
        .current_dir(project::root())
        .args(which)
        .args(machine.feature_arguments())
        .arg("--manifest-path")
        .arg(project::kernels_manifest())
        .arg("--target-dir")
        .arg(project::bare_target());
    match profile {
        Profile::Checked => {}
        Profile::Optimized => {
            build.arg("--release");
        }
        Profile::Unoptimized => {
            build.args(["--profile", "stack"]);
        }
    }
    build
}

/// Where that command puts a kernel.
pub(crate) fn kernel_file(machine: &Machine, profile: Profile, kernel: &str) -> PathBuf {
    let profile = match profile {
        Profile::Checked => "debug",
        Profile::Optimized => "release",
        Profile::Unoptimized => "stack",
    };
    project::bare_target()
        .join(machine.target)
        .join(profile)
        .join(kernel)
}

/// Replays every recorded trace on every one of the machines, each in a kernel of its own: a kernel
/// takes one module.
///
/// # Errors
/// If something is missing or cannot be built. The kernels' reports become the exit code, and so do
/// figures of the README that are others than these.
pub(crate) fn demo(
    machines: Machines,
    memory: Option<MemorySize>,
    install: Install,
) -> Result<ExitCode> {
    let (toolchain, rows) = replay_all(&traces()?, machines, memory, install)?;
    let mut concluded = ExitCode::SUCCESS;
    if memory.is_none() {
        let figures = collected(&rows);
        let judgement = Judgement::of(&toolchain, &figures, |_| false)?;
        concluded = judgement.conclude("bench", Stale::default())?;
    }
    Ok(if has_failed(&rows) {
        ExitCode::FAILURE
    } else {
        concluded
    })
}

/// The figures of the README that replays of the recorded traces show.
fn collected(rows: &[Row]) -> Collected {
    let mut collected = Collected::default();
    for row in rows.iter().filter(|row| row.outcome == Outcome::Held) {
        let (trace, machine) = (&row.name, row.machine.name);
        collected.add_memory(trace, machine, &row.figures);
        let instructions = row.figures.instructions("archipelago");
        if let (Some(instructions), PEAKS_ON) = (instructions, machine) {
            collected.add("traces", trace, "archipelago", instructions.into());
        }
    }
    collected
}

fn has_failed(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.outcome == Outcome::Failed)
}

/// Replays one trace.
///
/// # Errors
/// As for [`demo`]; [`BadInput`] if the file cannot be read, or is not a whole trace.
pub(crate) fn replay(
    file: &Path,
    machines: Machines,
    memory: Option<MemorySize>,
    install: Install,
) -> Result<ExitCode> {
    check(file)?;
    let (_, rows) = replay_all(&[file.to_owned()], machines, memory, install)?;
    Ok(if has_failed(&rows) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn replay_all(
    traces: &[PathBuf],
    machines: Machines,
    memory: Option<MemorySize>,
    install: Install,
) -> Result<(Toolchain, Vec<Row>)> {
    let machines: Vec<_> = machines.iter().collect();
    check_memory(&machines, memory)?;
    let toolchain = needs(&machines).ensure(install)?;
    let mut rows = Vec::new();
    for machine in &machines {
        let kernel = prepare(&toolchain, machine, Profile::Optimized, REPLAY)?;
        let memory = machine.memory(memory);
        for trace in traces {
            rows.push(boot(machine, &kernel, memory, trace)?);
        }
    }
    println!("\n{}", table::of(&rows, machines.len() > 1));
    let count = |outcome: Outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    println!(
        "\n{} of {} replays: every operation, every block's bytes and every identity held",
        count(Outcome::Held),
        rows.len()
    );
    let too_large = count(Outcome::TooLarge);
    if too_large > 0 {
        println!("{too_large} cannot be: the trace is larger than the machine");
    }
    Ok((toolchain, rows))
}

/// Checks that the memory that is asked for can be had, if it is asked of one machine. Of all of
/// them it is asked of those that have as much as they are told.
fn check_memory(machines: &[&Machine], wanted: Option<MemorySize>) -> Result<(), BadInput> {
    let ([machine], Some(wanted)) = (machines, wanted) else {
        return Ok(());
    };
    let has = machine.memory(Some(wanted));
    if has == wanted {
        return Ok(());
    }
    let (name, has, wanted) = (machine.name, has.in_words(), wanted.in_words());
    Err(BadInput(format!(
        "{name} cannot have {wanted} of memory: its board has {has}"
    )))
}

/// Checks that a file is a whole trace, before a kernel is built and booted for it.
fn check(file: &Path) -> Result<()> {
    let refused = |reason: &dyn fmt::Display| BadInput(format!("{}: {reason}", file.display()));
    let bytes = fs::read(file).map_err(|error| refused(&error))?;
    validate(&bytes).map_err(|error| refused(&error))?;
    Ok(())
}

fn validate(file: &[u8]) -> Result<(), TraceError> {
    let mut workspace = Workspace::new();
    let blocks = trace::blocks_needed(file, &mut workspace)?;
    // A table that this machine's memory cannot hold is too short, and the trace says so.
    let blocks = usize::try_from(blocks).unwrap_or(usize::MAX);
    let mut table = Vec::new();
    if table.try_reserve_exact(blocks).is_ok() {
        table.resize(blocks, Block::UNUSED);
    }
    trace::validate(file, &mut workspace, &mut table)?;
    Ok(())
}

/// The recorded traces, by name.
///
/// # Errors
/// If their folder cannot be read.
pub(crate) fn traces() -> Result<Vec<PathBuf>> {
    let folder = project::root().join("tools/traces/recorded");
    let entries = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
    let mut traces = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            traces.push(path);
        }
    }
    traces.sort();
    Ok(traces)
}

/// The programs and targets that kernels of these machines need.
pub(crate) fn needs<'a>(machines: &[&'a Machine]) -> Needs<'a> {
    Needs {
        machines: machines.to_vec(),
        targets: machines.iter().map(|machine| machine.target).collect(),
        ..Needs::default()
    }
}

/// Sees to it that the kernel is built, and returns its file.
///
/// # Errors
/// If the kernel cannot be built.
pub(crate) fn prepare(
    toolchain: &Toolchain,
    machine: &Machine,
    profile: Profile,
    kernel: &str,
) -> Result<PathBuf> {
    let mut command = build(toolchain, machine, profile, &["--bin", kernel]);
    let mut progress = Progress::start(format!("build {kernel} for {}", machine.name));
    let built = process::run(&mut command, None, |line| progress.update(line))?;
    let success = built.ending.success();
    progress.finish(if success { "ok" } else { "FAILED" });
    if !success {
        built.lines.iter().for_each(|line| eprintln!("{line}"));
        bail!("`{}` failed", process::describe(&command));
    }
    Ok(kernel_file(machine, profile, kernel))
}

/// Boots the kernel with a trace, shows how far it is, and then the heap and what went wrong.
fn boot(machine: &'static Machine, kernel: &Path, memory: MemorySize, trace: &Path) -> Result<Row> {
    let name = name_of(trace);
    let boot = Boot {
        machine,
        kernel: kernel.to_owned(),
        cpus: 1,
        memory,
        module: Some(trace),
        command_line: ASKED_FOR.to_owned(),
        count_instructions: true,
        limit: LIMIT,
    };
    let title = format!("{name}, {}, {}", machine.name, memory.in_words());
    let mut progress = Progress::start(title);
    let finished = boot.run(|line| progress.update(&news(line)))?;
    let verdict = Verdict::of(finished.ending, &finished.lines);
    let figures = Figures::read(&finished.lines);
    let outcome = match verdict {
        Verdict::Passed { .. } if is_too_large(machine, &figures) => Outcome::TooLarge,
        Verdict::Passed { .. } => Outcome::Held,
        _ => Outcome::Failed,
    };
    progress.finish(&match outcome {
        Outcome::Held => "ok".to_owned(),
        Outcome::TooLarge => "larger than the machine".to_owned(),
        Outcome::Failed => format!("FAILED: {verdict}"),
    });
    let passed = outcome == Outcome::Held;
    let shown = finished.lines.iter().filter(|line| is_shown(line, passed));
    shown.for_each(|line| println!("    {}", line.trim_start_matches("# ")));
    Ok(Row {
        machine,
        name,
        figures,
        outcome,
    })
}

/// Whether a trace has more live bytes than a board has memory.
pub(crate) fn is_too_large(machine: &Machine, figures: &Figures) -> bool {
    matches!(machine.memory, Memory::Fixed { .. }) && figures.lack().is_some()
}

/// The name of a trace: its file's name without the endings.
pub(crate) fn name_of(trace: &Path) -> String {
    let name = trace.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".gz")
        .trim_end_matches(".trace")
        .to_owned()
}

/// A line of the kernel's as news for the one who waits.
fn news(line: &str) -> String {
    match line.strip_prefix("progress ") {
        Some(per_cent) => format!("{per_cent} % replayed, every block checked"),
        None => line.trim_start_matches("# ").to_owned(),
    }
}

/// Whether a line of the kernel's says more than the table does.
fn is_shown(line: &str, passed: bool) -> bool {
    let is_counted = ["1..", "ok ", "figure ", "progress ", "# counting"]
        .iter()
        .any(|start| line.starts_with(start));
    !is_counted && (!passed || line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_traces_are_whole() {
        let traces = traces().expect("the traces' folder");
        assert!(!traces.is_empty());
        for trace in traces {
            check(&trace).expect("a whole trace");
        }
    }

    #[test]
    fn a_truncated_trace_is_refused_with_the_byte_it_ends_at() {
        let traces = traces().expect("the traces' folder");
        let bytes = fs::read(&traces[0]).expect("a trace");
        let half = bytes.len() / 2;
        let error = validate(&bytes[..half]).expect_err("half of it is missing");
        assert_eq!(error.offset, half as u64);
        assert!(error.to_string().contains(&format!("byte {half} ")));
    }

    #[test]
    fn a_board_keeps_its_memory_and_says_so() {
        let machine = |name| crate::machine::find(name).expect("it is there");
        let [arm, board] = [machine("arm"), machine("cortex-m")];
        let wanted = MemorySize::from_mib(64);
        let refused = check_memory(&[board], Some(wanted)).expect_err("it has another");
        assert_eq!(
            refused.to_string(),
            "cortex-m cannot have 64 MiB of memory: its board has 24 MiB"
        );
        let has = board.memory(None);
        for (machines, wanted) in [
            (&[board][..], None),
            (&[board], Some(has)),
            (&[arm], Some(wanted)),
            (&[arm, board], Some(wanted)),
        ] {
            assert!(check_memory(machines, wanted).is_ok());
        }
    }

    #[test]
    fn pictures_and_failures_are_shown_and_what_is_counted_is_not() {
        assert!(is_shown("#      +0 MiB  █", true));
        assert!(!is_shown("figure operations 7", true));
        assert!(!is_shown("ok 1 - the trace is whole", false));
        assert!(is_shown("not ok 2 - every request is served", false));
        assert!(is_shown("# 3 requests failed", false));
    }
}
