//! Where figures come from: a program on the host, kernels under QEMU, listings.

use core::time::Duration;

use anyhow::{Result, bail};

use super::figures::Figures;
use crate::kernels::{BENCH_OBJECTS, BENCH_RUNS, choose_benches};
use crate::listing;
use crate::machine::{Machine, MemorySize};
use crate::process::{self, Ending};
use crate::project;
use crate::qemu::{self, Boot};
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

    /// Whether it boots something.
    pub(super) fn boots(self) -> bool {
        matches!(self, Self::Kernel { .. })
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
                figures.add("lookup", "owns", machine.name, f64::from(loads));
                Ok(())
            }
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
    let which = choose_benches(&[name]);
    let mut build = run::build(toolchain, machine, Profile::Optimized, &which);
    eprintln!("bench: {}", process::describe(&build));
    let built = process::run(&mut build, None, |line| eprintln!("  {line}"))?;
    if !built.ending.success() {
        bail!("`{}` failed", process::describe(&build));
    }
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
