//! Where figures come from: a program on the host, kernels under QEMU, listings.

use core::time::Duration;

use anyhow::{Result, bail};

use super::OWN;
use super::figures::{Figures, Number};
use crate::kernels::{BENCH_OBJECTS, BENCH_RUNS, REPLAY, choose_benches};
use crate::listing;
use crate::machine::{Machine, MemorySize};
use crate::process::{self, Ending};
use crate::project;
use crate::qemu::{self, Boot};
use crate::run::figures::Figures as Replay;
use crate::run::{self, Profile};
use crate::toolchain::Toolchain;

/// Far above what any kernel here takes.
const LIMIT: Duration = Duration::from_secs(1800);

/// What counts something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The program `figures`, with the names of the parts that are wanted of it.
    Host,
    /// A kernel that counts instructions.
    Kernel { name: &'static str, memory_mib: u64 },
    /// The machine code of a lookup.
    Listing,
    /// Replays of all traces, beside other allocators, or with a flat arena index in the place of
    /// the sparse one.
    Replay { index: Index },
}

/// Which arena index a heap has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    Sparse,
    Flat,
}

impl Index {
    const fn name(self) -> &'static str {
        match self {
            Self::Sparse => "sparse",
            Self::Flat => "flat",
        }
    }
}

impl Source {
    pub(super) const OBJECTS: Self = Self::Kernel {
        name: BENCH_OBJECTS,
        memory_mib: 768,
    };
    pub(super) const RUNS: Self = Self::Kernel {
        name: BENCH_RUNS,
        memory_mib: 512,
    };

    pub(super) const REPLAYS: Self = Self::Replay {
        index: Index::Sparse,
    };
    pub(super) const FLAT_REPLAYS: Self = Self::Replay { index: Index::Flat };

    /// Whether it boots something.
    pub(super) fn boots(self) -> bool {
        matches!(self, Self::Kernel { .. } | Self::Replay { .. })
    }

    /// Runs it and adds its figures; `parts` are the names of those that want some.
    ///
    /// # Errors
    /// If it cannot be built or does not end well.
    pub(super) fn run(
        self,
        toolchain: &Toolchain,
        machine: &Machine,
        parts: &[&str],
        figures: &mut Figures,
    ) -> Result<()> {
        match self {
            Self::Host => host(toolchain, parts, figures),
            Self::Kernel { name, memory_mib } => {
                kernel(toolchain, machine, name, memory_mib, figures)
            }
            Self::Listing => {
                let loads = listing::dependent_loads(toolchain)?;
                let loads = Number::exact(loads.into());
                figures.add("lookup", "owns", machine.name, loads);
                Ok(())
            }
            Self::Replay { index } => replays(toolchain, machine, index, figures),
        }
    }
}

fn host(toolchain: &Toolchain, parts: &[&str], figures: &mut Figures) -> Result<()> {
    let mut command = toolchain.cargo("run");
    command
        .current_dir(project::root())
        .args(["--release", "--package", "archipelago-bench"])
        .args(["--bin", "figures", "--"])
        .args(parts);
    eprintln!("bench: {}", process::describe(&command));
    let finished = process::run(&mut command, None, |line| {
        if !figures.read(line) {
            eprintln!("  {line}");
        }
    })?;
    if !finished.ending.success() {
        bail!("`{}` failed", process::describe(&command));
    }
    Ok(())
}

fn kernel(
    toolchain: &Toolchain,
    machine: &Machine,
    name: &str,
    memory_mib: u64,
    figures: &mut Figures,
) -> Result<()> {
    build(toolchain, machine, &choose_benches(&[name]))?;
    let boot = Boot {
        machine,
        kernel: run::kernel_file(machine, Profile::Optimized, name),
        memory: MemorySize::from_mib(memory_mib),
        module: None,
        command_line: String::new(),
        count_instructions: true,
        limit: LIMIT,
    };
    eprintln!("bench: {name} on {}, {memory_mib} MiB", machine.name);
    let finished = boot.run(|line| {
        if !figures.read(line) {
            eprintln!("  {line}");
        }
    })?;
    match finished.ending {
        Ending::Exit(qemu::PASS) => Ok(()),
        ending => bail!("{name}: the kernel did not pass: {ending:?}"),
    }
}

fn build(toolchain: &Toolchain, machine: &Machine, which: &[&str]) -> Result<()> {
    let mut build = run::build(toolchain, machine, Profile::Optimized, which);
    eprintln!("bench: {}", process::describe(&build));
    let built = process::run(&mut build, None, |line| eprintln!("  {line}"))?;
    if !built.ending.success() {
        bail!("`{}` failed", process::describe(&build));
    }
    Ok(())
}

/// Replays every trace; the figures are its rows.
fn replays(
    toolchain: &Toolchain,
    machine: &Machine,
    index: Index,
    figures: &mut Figures,
) -> Result<()> {
    let (feature, words) = match index {
        Index::Sparse => ("bench", "instructions peers"),
        Index::Flat => ("flat-index", "instructions"),
    };
    let which = ["--features", feature, "--bin", REPLAY];
    build(toolchain, machine, &which)?;
    for trace in run::traces()? {
        let name = run::name_of(&trace);
        eprintln!("bench: replay of {name}, {} index", index.name());
        let boot = Boot {
            machine,
            kernel: run::kernel_file(machine, Profile::Optimized, REPLAY),
            memory: MemorySize::from_mib(256),
            module: Some(&trace),
            command_line: words.to_owned(),
            count_instructions: true,
            limit: LIMIT,
        };
        let finished = boot.run(|line| eprintln!("  {line}"))?;
        if finished.ending != Ending::Exit(qemu::PASS) {
            bail!("{name}: the replay did not pass: {:?}", finished.ending);
        }
        add_replay(figures, index, &name, &Replay::read(&finished.lines));
    }
    Ok(())
}

fn add_replay(figures: &mut Figures, index: Index, trace: &str, replay: &Replay) {
    let mut add = |part: &str, column: &str, figure: Option<run::figures::Figure>| {
        if let Some(figure) = figure {
            let number = Number {
                value: as_float(figure.value),
                is_above: figure.is_bound,
            };
            figures.add(part, trace, column, number);
        }
    };
    add("index", index.name(), replay.all_instructions(OWN));
    if index == Index::Flat {
        return;
    }
    for allocator in [OWN, "talc", "linked_list_allocator"] {
        add("traces", allocator, replay.instructions(allocator));
    }
    if let Some(overhead) = replay.overhead() {
        let number = Number::exact(overhead);
        figures.add("overhead", trace, "frames", number);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of instructions are far below what a double can tell apart"
)]
fn as_float(number: u64) -> f64 {
    number as f64
}
