//! `cargo xtask test`: its stages.

mod build;
mod cargo_test;
mod docs;
mod figures;
mod firmware;
mod host;
mod kernels;
mod lint;
mod listing;
mod msrv;
mod packages;
mod word_size;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Result;
use clap::Subcommand;

use crate::figures::Figures;
use crate::machine::{self, Machine};
use crate::process::{self, Finished, Progress};
use crate::report::{self, Stage};
use crate::setup::{CLIPPY, Install, Needs, RUSTFMT};
use crate::toolchain::Toolchain;
use word_size::Beside;

/// A part of the test.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Part {
    /// Formatting, and clippy with warnings denied.
    Lint,
    /// The tests that run on the host.
    Host,
    /// The documentation, with warnings denied.
    Docs,
    /// A part of the host's tests on words of 32 bits and in the other byte order.
    WordSize,
    /// Builds of the portable crates for bare targets and with the oldest supported compiler.
    Build,
    /// The published crates as packages: their contents, and users' workspaces that use them.
    Packages,
    /// The machine code of a lookup: its dependent loads.
    Listing,
    /// Kernels under QEMU.
    Qemu {
        /// The machine; all of them if none is named.
        #[arg(value_parser = machine::find)]
        machine: Option<&'static Machine>,
    },
}

/// All parts, those first that fail soonest.
const ALL: &[Part] = &[
    Part::Lint,
    Part::Host,
    Part::WordSize,
    Part::Docs,
    Part::Build,
    Part::Packages,
    Part::Listing,
    Part::Qemu { machine: None },
];

/// Runs a part of the test, or all of it, and prints the summary.
///
/// # Errors
/// If something that it needs is missing. A failed test is no error: it is counted and reported.
pub(crate) fn run(part: Option<Part>, install: Install) -> Result<ExitCode> {
    let parts = part.as_ref().map_or(ALL, core::slice::from_ref);
    let toolchain = needs(parts).ensure(install)?;
    println!("{}", toolchain.version);
    let interprets = parts.iter().any(|part| matches!(part, Part::WordSize));
    let mut beside = interprets.then(|| word_size::interpret(&toolchain, install));
    let mut measured = Figures::default();
    let mut stages: Vec<_> = parts
        .iter()
        .map(|part| part.run(&toolchain, install, &mut beside, &mut measured))
        .collect();
    if !measured.is_empty() {
        measured.extend(crate::bench::committed_peers()?);
        stages.push(figures::compare(&toolchain, &measured));
    }
    let (text, passed) = report::summary(&stages);
    println!("{text}");
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn needs(parts: &[Part]) -> Needs<'static> {
    let mut needs = Needs::default();
    for part in parts {
        match part {
            Part::Host | Part::WordSize => {}
            Part::Build => {
                needs.targets.extend(build::TARGETS);
                needs.targets.extend(firmware::TARGETS);
            }
            Part::Packages => needs.targets.extend(packages::targets()),
            Part::Listing => needs.targets.push(crate::listing::TARGET),
            Part::Qemu { .. } => {
                needs.machines.extend(part.machines());
                needs
                    .targets
                    .extend(part.machines().map(|machine| machine.target));
            }
            Part::Lint | Part::Docs => {
                needs
                    .targets
                    .extend(part.machines().map(|machine| machine.target));
            }
        }
        if matches!(part, Part::Lint) {
            needs.targets.extend(firmware::LINTED);
            needs.components.extend([&RUSTFMT, &CLIPPY]);
        }
    }
    needs.targets.sort_unstable();
    needs.targets.dedup();
    needs
}

impl Part {
    fn machines(self) -> impl Iterator<Item = &'static Machine> {
        let wanted = match self {
            Self::Qemu { machine } => machine,
            _ => None,
        };
        machine::all().filter(move |machine| wanted.is_none_or(|one| one.name == machine.name))
    }

    /// Runs the part, and adds the figures of the README that it measures on the way. `beside` is
    /// what [`Part::WordSize`] has started before the first part.
    fn run(
        self,
        toolchain: &Toolchain,
        install: Install,
        beside: &mut Option<Beside>,
        measured: &mut Figures,
    ) -> Stage {
        let mut stage = Stage::start(match self {
            Self::Lint => "lint",
            Self::Host => "host",
            Self::WordSize => "word-size",
            Self::Docs => "docs",
            Self::Build => "build",
            Self::Packages => "packages",
            Self::Listing => "listing",
            Self::Qemu { .. } => "qemu",
        });
        match self {
            Self::Lint => lint::run(&mut stage, toolchain),
            Self::Host => host::run(&mut stage, toolchain, measured),
            Self::WordSize => {
                if let Some(beside) = beside.take() {
                    word_size::run(&mut stage, toolchain, install, beside);
                }
            }
            Self::Docs => docs::run(&mut stage, toolchain),
            Self::Build => {
                build::run(&mut stage, toolchain);
                firmware::run(&mut stage, toolchain, measured);
                msrv::run(&mut stage, toolchain, install);
            }
            Self::Packages => packages::run(&mut stage, toolchain),
            Self::Listing => listing::run(&mut stage, toolchain, measured),
            Self::Qemu { .. } => kernels::run(&mut stage, toolchain, self.machines(), measured),
        }
        stage.finish()
    }
}

/// Runs a command that passes or fails as a whole; returns whether it passed.
fn step(stage: &mut Stage, name: &str, command: &mut Command) -> bool {
    step_with(stage, name, command, |_| ())
}

/// As [`step`]; passes each line of the output to `on_line`.
fn step_with(
    stage: &mut Stage,
    name: &str,
    command: &mut Command,
    mut on_line: impl FnMut(&str),
) -> bool {
    let start = Instant::now();
    let mut progress = Progress::start(name);
    let result = process::run(command, None, |line| {
        on_line(line);
        progress.update(line);
    });
    let passed = result
        .as_ref()
        .is_ok_and(|finished| finished.ending.success());
    progress.finish(if passed { "ok" } else { "FAILED" });
    stage.took(name, start.elapsed());
    stage.count(passed.into(), (!passed).into());
    if !passed {
        explain(command, &result);
    }
    passed
}

/// Prints a failed command and its output.
fn explain(command: &Command, result: &Result<Finished>) {
    println!("  | {}", process::describe(command));
    match result {
        Ok(finished) => {
            finished
                .lines
                .iter()
                .for_each(|line| println!("  | {line}"));
            println!("  | ended: {:?}", finished.ending);
        }
        Err(error) => println!("  | {error:#}"),
    }
}
