//! `cargo xtask bench`: the costs of the heap, counted and compared with bounds.
//!
//! Figures are not timed. They are bytes and frames from the account, instructions from QEMU and
//! loads from listings, and the same on every run.

mod bitmap;
mod parts;
mod peers;
mod replays;
mod sources;
mod table;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

pub(crate) use parts::Part;
pub(crate) use peers::committed as committed_peers;

use crate::figures::{Figures, Judgement, PEAK, Stale};
use crate::machine::{self, Machine};
use crate::run::BadInput;
use crate::setup::{Install, Needs};
use crate::toolchain::Toolchain;
use table::Verdict;

/// The heap that is measured, as figures call it.
const OWN: &str = "archipelago";

/// The machine whose kernels count instructions unless another is named.
const DEFAULT_MACHINE: &str = "x86_64";

/// The options of `cargo xtask bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The parts to measure; all of them but `peers` if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    #[command(flatten)]
    peers: peers::PeerOptions,
    /// The machine whose kernels count instructions.
    #[arg(long, default_value = DEFAULT_MACHINE, value_parser = machine::find)]
    machine: &'static Machine,
    #[command(flatten)]
    stale: Stale,
}

impl Options {
    /// Options for `parts`, with the machine that is the default.
    ///
    /// # Errors
    /// If there is no such machine.
    pub(crate) fn of(parts: Vec<Part>) -> Result<Self> {
        let machine = machine::find(DEFAULT_MACHINE).map_err(anyhow::Error::msg)?;
        Ok(Self {
            parts,
            peers: peers::PeerOptions::default(),
            machine,
            stale: Stale::default(),
        })
    }

    /// The parts with figures of the README that are named, or all of them.
    fn chosen(&self) -> Vec<Part> {
        let parts = if self.parts.is_empty() {
            Part::value_variants()
        } else {
            &self.parts
        };
        let parts = parts.iter().copied();
        parts.filter(|part| *part != Part::Peers).collect()
    }

    /// Whether other heaps alone are asked for: by their part, or by a check of their figures.
    fn is_about_peers(&self) -> bool {
        let is_peers = |part: &Part| *part == Part::Peers;
        self.parts.iter().all(is_peers) && (!self.parts.is_empty() || self.peers.check)
    }
}

/// Measures, and prints a table for each part; progress goes to the standard error. The exit code
/// says whether every bound was kept, and whether the README has the figures of these parts.
///
/// # Errors
/// If something is missing, cannot be built, or does not end well.
pub(crate) fn run(options: &Options, install: Install) -> Result<ExitCode> {
    if options.is_about_peers() {
        return peers::run(&options.peers, options.stale.write, install);
    }
    if options.peers.check || options.parts.contains(&Part::Peers) {
        bail!(BadInput(
            "`peers`, and with it `--check`, is measured alone: cargo xtask bench peers --check"
                .to_owned()
        ));
    }
    let parts = options.chosen();
    let (toolchain, figures) = measure(options, install)?;
    println!("{}", toolchain.version);
    let mut sum = Verdict::default();
    for part in &parts {
        let table = part.table(&figures);
        println!("\n{}", table.render());
        let verdict = table.verdict();
        sum.kept += verdict.kept;
        sum.broken += verdict.broken;
    }
    println!("{} bounds kept, {} broken", sum.kept, sum.broken);
    let mut concluded = ExitCode::SUCCESS;
    // The README's figures of instructions are those of this machine.
    if options.machine.name == DEFAULT_MACHINE {
        let is_complete = |name: &str| {
            let is_chosen = |wanted: Part| parts.contains(&wanted);
            (name == PEAK && is_chosen(Part::Traces))
                || parts.iter().any(|part| part.name() == name)
        };
        let judgement = Judgement::of(&toolchain, &figures, is_complete)?;
        concluded = judgement.conclude("bench", options.stale)?;
    }
    Ok(if sum.broken == 0 {
        concluded
    } else {
        ExitCode::FAILURE
    })
}

/// The figures of all parts, the committed ones of `peers` among them.
///
/// # Errors
/// As [`run`].
pub(crate) fn measure_all(install: Install) -> Result<Figures> {
    let mut figures = measure(&Options::of(Vec::new())?, install)?.1;
    figures.extend(committed_peers()?);
    Ok(figures)
}

/// Measures the chosen parts.
fn measure(options: &Options, install: Install) -> Result<(Toolchain, Figures)> {
    let parts = options.chosen();
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
    Ok((toolchain, figures))
}
