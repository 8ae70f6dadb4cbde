//! `cargo xtask run` and `cargo xtask replay`: kernels that somebody watches.

use core::fmt;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::kernels::{DEMO, REPLAY};
use crate::machine::{Machine, MemorySize};
use crate::process::{self, Ending, Progress};
use crate::project;
use crate::qemu::{self, Boot};
use crate::setup::{Install, Needs};
use crate::toolchain::Toolchain;

/// Far above what any trace takes.
const LIMIT: Duration = Duration::from_secs(1800);

/// What the user gave cannot be used.
#[derive(Debug)]
pub(crate) struct BadInput(String);

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
    /// As it is used, for what is measured.
    Optimized,
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
        .arg("--manifest-path");
    build.arg(project::kernels_manifest());
    build.arg("--target-dir").arg(project::target_of("qemu"));
    if profile == Profile::Optimized {
        build.arg("--release");
    }
    build
}

/// Where that command puts a kernel.
pub(crate) fn kernel_file(machine: &Machine, profile: Profile, kernel: &str) -> PathBuf {
    let profile = match profile {
        Profile::Checked => "debug",
        Profile::Optimized => "release",
    };
    project::target_of("qemu")
        .join(machine.target)
        .join(profile)
        .join(kernel)
}

/// Boots the demo kernel once per trace: a PVH kernel takes one module.
///
/// # Errors
/// If something is missing or cannot be built. What the kernel reports becomes the exit code.
pub(crate) fn demo(machine: &Machine, memory: MemorySize, install: Install) -> Result<ExitCode> {
    let traces = traces()?;
    let kernel = prepare(machine, DEMO, install)?;
    let mut passed = true;
    for trace in &traces {
        passed &= boot(machine, &kernel, memory, trace)?;
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Replays one trace.
///
/// # Errors
/// As for [`demo`]; [`BadInput`] if the file cannot be read.
pub(crate) fn replay(
    file: &Path,
    machine: &Machine,
    memory: MemorySize,
    install: Install,
) -> Result<ExitCode> {
    if let Err(error) = fs::File::open(file) {
        bail!(BadInput(format!("{}: {error}", file.display())));
    }
    let kernel = prepare(machine, REPLAY, install)?;
    let passed = boot(machine, &kernel, memory, file)?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The recorded traces, by name.
fn traces() -> Result<Vec<PathBuf>> {
    let folder = project::root().join("traces");
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

/// Sees to it that everything is there and the kernel is built, and returns its file.
fn prepare(machine: &Machine, kernel: &str, install: Install) -> Result<PathBuf> {
    let needs = Needs {
        machines: vec![machine],
        targets: vec![machine.target],
        ..Needs::default()
    };
    let toolchain = needs.ensure(install)?;
    let mut command = build(&toolchain, machine, Profile::Optimized, &["--bin", kernel]);
    let mut progress = Progress::start(format!("build {kernel} for {}", machine.name));
    let built = process::run(&mut command, None, |line| progress.update(line))?;
    let success = built.ending.success();
    progress.finish(if success { "ok" } else { "FAILED" });
    if !success {
        built.lines.iter().for_each(|line| eprintln!("{line}"));
        bail!("`{}` failed", process::describe(&command));
    }
    Ok(kernel_file(machine, Profile::Optimized, kernel))
}

/// Boots a kernel, its output shown as it comes; says whether it passed.
fn boot(machine: &Machine, kernel: &Path, memory: MemorySize, module: &Path) -> Result<bool> {
    let name = module.file_name().unwrap_or_default().to_string_lossy();
    let boot = Boot {
        machine,
        kernel: kernel.to_owned(),
        memory,
        module: Some(module),
        command_line: format!("name={name}"),
        count_instructions: false,
        limit: LIMIT,
    };
    let finished = boot.run(|line| println!("{line}"))?;
    match finished.ending {
        Ending::Exit(qemu::PASS) => Ok(true),
        Ending::Exit(qemu::FAIL) => Ok(false),
        ending => bail!("{name}: the kernel did not end by itself: {ending:?}"),
    }
}
