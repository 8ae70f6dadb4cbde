//! `cargo xtask bench`: the costs of the heap, counted and compared with bounds.
//!
//! Figures are not timed. They are bytes and frames from the account, instructions from QEMU and
//! loads from listings, and the same on every run.

mod bitmap;
mod figures;
mod parts;
mod replays;
mod sources;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

pub(crate) use parts::Part;

use crate::machine::{self, Machine};
use crate::setup::{Install, Needs};
use figures::Figures;
use table::Verdict;

/// The heap that is measured, as figures call it.
const OWN: &str = "archipelago";

/// The machine whose kernels count instructions unless another is named.
const DEFAULT_MACHINE: &str = "x86_64";

/// The options of `cargo xtask bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The parts to measure; all of them if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// The machine whose kernels count instructions.
    #[arg(long, default_value = DEFAULT_MACHINE, value_parser = machine::find)]
    machine: &'static Machine,
}

impl Options {
    /// Options for `parts`, with the machine that is the default.
    ///
    /// # Errors
    /// If there is no such machine.
    pub(crate) fn of(parts: Vec<Part>) -> Result<Self> {
        let machine = machine::find(DEFAULT_MACHINE).map_err(anyhow::Error::msg)?;
        Ok(Self { parts, machine })
    }
}

/// Measures, and prints a table for each part; progress goes to the standard error. The exit code
/// says whether every bound was kept.
///
/// # Errors
/// If something is missing, cannot be built, or does not end well.
pub(crate) fn run(options: &Options, install: Install) -> Result<ExitCode> {
    let parts: &[Part] = if options.parts.is_empty() {
        Part::value_variants()
    } else {
        &options.parts
    };
    let mut sources = Vec::new();
    for source in parts.iter().flat_map(|part| part.sources()) {
        if !sources.contains(source) {
            sources.push(*source);
        }
    }
    let mut machines = Vec::new();
    for machine in sources
        .iter()
        .flat_map(|source| source.machines(options.machine))
    {
        if !machines
            .iter()
            .any(|one: &&Machine| one.name == machine.name)
        {
            machines.push(machine);
        }
    }
    let mut targets: Vec<_> = machines.iter().map(|machine| machine.target).collect();
    targets.push(options.machine.target);
    targets.sort_unstable();
    targets.dedup();
    let needs = Needs {
        machines,
        targets,
        ..Needs::default()
    };
    let toolchain = needs.ensure(install)?;
    let mut figures = Figures::default();
    for source in sources {
        let wanted = parts.iter().filter(|part| part.sources().contains(&source));
        let names: Vec<_> = wanted.map(|part| part.name()).collect();
        source.run(&toolchain, options.machine, &names, &mut figures)?;
    }

    println!("{}", toolchain.version);
    let mut sum = Verdict::default();
    for part in parts {
        let table = part.table(&figures);
        println!("\n{}", table.render());
        let verdict = table.verdict();
        sum.kept += verdict.kept;
        sum.broken += verdict.broken;
    }
    println!("{} bounds kept, {} broken", sum.kept, sum.broken);
    Ok(if sum.broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
