//! The sources of figures: a program on the host, kernels under QEMU, listings.

use core::time::Duration;

use anyhow::{Result, bail};

use super::OWN;
use crate::figures::{Figures, Number};
use crate::kernels::{
    BENCH_OBJECTS, BENCH_RUNS, BENCH_SCANNABLE, Bitmap, REPLAY, benches_on, choose_benches,
};
use crate::listing;
use crate::machine::{self, Machine, MemorySize};
use crate::process::{self, Ending};
use crate::project;
use crate::qemu::{self, Boot};
use crate::run::figures::Figures as Replay;
use crate::run::{self, Profile};
use crate::toolchain::Toolchain;

/// More than any kernel here takes.
const LIMIT: Duration = Duration::from_secs(1800);

/// A program that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The program `figures`, with the names of the wanted parts.
    Host { bitmap: Bitmap },
    /// A kernel that counts instructions, and its command line.
    Kernel {
        name: &'static str,
        bitmap: Bitmap,
        memory_mib: u64,
        words: &'static str,
    },
    /// The machine code of a lookup.
    Listing,
    /// Replays of all traces, beside other allocators, or with a flat arena index in the place of
    /// the sparse one.
    Replay { index: Index },
    /// The kernel that counts metadata, on every machine with an MMU.
    Metadata,
    /// Replays of all traces on every machine, one of them beside other allocators.
    Machines,
}

/// The kind of arena index that a heap has.
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
    pub(super) const HOST: Self = Self::Host {
        bitmap: Bitmap::None,
    };
    pub(super) const HOST_WITH_BITMAP: Self = Self::Host {
        bitmap: Bitmap::Sparse,
    };

    pub(super) const OBJECTS: Self = Self::Kernel {
        name: BENCH_OBJECTS,
        bitmap: Bitmap::None,
        memory_mib: 768,
        words: "",
    };
    /// Requests alone, and of a heap with a bitmap.
    pub(super) const OBJECTS_WITH_BITMAP: Self = Self::Kernel {
        name: BENCH_OBJECTS,
        bitmap: Bitmap::Sparse,
        memory_mib: 768,
        words: "own",
    };
    pub(super) const SCANNABLE: Self = Self::scannable(Bitmap::Sparse);
    pub(super) const SCANNABLE_FLAT: Self = Self::scannable(Bitmap::Flat);

    const fn scannable(bitmap: Bitmap) -> Self {
        Self::Kernel {
            name: BENCH_SCANNABLE,
            bitmap,
            memory_mib: 256,
            words: "",
        }
    }

    pub(super) const RUNS: Self = Self::Kernel {
        name: BENCH_RUNS,
        bitmap: Bitmap::None,
        memory_mib: 512,
        words: "",
    };

    pub(super) const REPLAYS: Self = Self::Replay {
        index: Index::Sparse,
    };
    pub(super) const FLAT_REPLAYS: Self = Self::Replay { index: Index::Flat };

    /// The machines that the source boots; `chosen` is the one for sources that boot one alone.
    pub(super) fn machines(self, chosen: &'static Machine) -> Vec<&'static Machine> {
        match self {
            Self::Host { .. } | Self::Listing => Vec::new(),
            Self::Kernel { .. } | Self::Replay { .. } => vec![chosen],
            Self::Metadata => machine::all().filter(|machine| machine.has_mmu).collect(),
            Self::Machines => machine::all().collect(),
        }
    }

    /// Runs the source and adds its figures; `parts` are the names of the parts that want some.
    ///
    /// # Errors
    /// If the source cannot be built or does not end well.
    pub(super) fn run(
        self,
        toolchain: &Toolchain,
        machine: &'static Machine,
        parts: &[&str],
        figures: &mut Figures,
    ) -> Result<()> {
        match self {
            Self::Host { bitmap } => host(toolchain, bitmap, parts, figures),
            Self::Kernel {
                name,
                bitmap,
                memory_mib,
                words,
            } => {
                let memory = MemorySize::from_mib(memory_mib);
                kernel(toolchain, machine, (name, bitmap), memory, words, figures)
            }
            Self::Metadata => self.machines(machine).into_iter().try_for_each(|machine| {
                let words = format!("metadata={}", machine.name);
                let memory = machine.memory(None);
                let kernel_of = (BENCH_OBJECTS, Bitmap::None);
                kernel(toolchain, machine, kernel_of, memory, &words, figures)
            }),
            Self::Machines => {
                let machines = self.machines(machine);
                machines
                    .into_iter()
                    .try_for_each(|machine| replays_on(toolchain, machine, figures))
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

fn host(
    toolchain: &Toolchain,
    bitmap: Bitmap,
    parts: &[&str],
    figures: &mut Figures,
) -> Result<()> {
    let mut command = toolchain.cargo("run");
    command
        .current_dir(project::root())
        .args(["--release", "--package", "archipelago-bench"]);
    if bitmap != Bitmap::None {
        command.args(["--features", "heap-bits"]);
    }
    command.args(["--bin", "figures", "--"]).args(parts);
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
    (name, bitmap): (&str, Bitmap),
    memory: MemorySize,
    words: &str,
    figures: &mut Figures,
) -> Result<()> {
    if !benches_on(machine).contains(&name) {
        bail!("{name} does not run on {}", machine.name);
    }
    build(toolchain, machine, &choose_benches(bitmap, &[name]))?;
    let boot = Boot {
        machine,
        kernel: run::kernel_file(machine, Profile::Optimized, name),
        cpus: 1,
        memory,
        module: None,
        command_line: words.to_owned(),
        count_instructions: true,
        limit: LIMIT,
    };
    eprintln!("bench: {name} on {}, {}", machine.name, memory.in_words());
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

/// Replays every trace that a machine has memory for.
fn replays_on(
    toolchain: &Toolchain,
    machine: &'static Machine,
    figures: &mut Figures,
) -> Result<()> {
    build(
        toolchain,
        machine,
        &["--features", "bench", "--bin", REPLAY],
    )?;
    for trace in run::traces()? {
        let name = run::name_of(&trace);
        let words = if name == COMPARED {
            "instructions peers"
        } else {
            ""
        };
        eprintln!("bench: replay of {name} on {}", machine.name);
        let boot = Boot {
            machine,
            kernel: run::kernel_file(machine, Profile::Optimized, REPLAY),
            cpus: 1,
            memory: machine.memory(None),
            module: Some(&trace),
            command_line: words.to_owned(),
            count_instructions: true,
            limit: LIMIT,
        };
        let finished = boot.run(|line| eprintln!("  {line}"))?;
        let replay = Replay::read(&finished.lines);
        if run::is_too_large(machine, &replay) {
            continue;
        }
        if finished.ending != Ending::Exit(qemu::PASS) {
            bail!("{name}: the replay did not pass: {:?}", finished.ending);
        }
        for allocator in PEERS {
            if let Some(figure) = replay.instructions(allocator) {
                figures.add("machines", machine.name, allocator, figure.into());
            }
        }
        figures.add_memory(&name, machine.name, &replay);
    }
    Ok(())
}

/// The allocators that replay traces in one kernel.
const PEERS: [&str; 5] = [OWN, "firmware", "talc", "rlsf", "linked_list_allocator"];

/// The trace that all machines are compared by, because it fits all of them.
const COMPARED: &str = "sqlite";

/// Replays every trace; each is a row of figures.
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
            cpus: 1,
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
        let replay = Replay::read(&finished.lines);
        add_replay(figures, index, &name, &replay);
        figures.add_memory(&name, machine.name, &replay);
    }
    Ok(())
}

fn add_replay(figures: &mut Figures, index: Index, trace: &str, replay: &Replay) {
    let mut add = |part: &str, column: &str, figure: Option<run::figures::Figure>| {
        if let Some(figure) = figure {
            figures.add(part, trace, column, figure.into());
        }
    };
    add("index", index.name(), replay.all_instructions(OWN));
    if index == Index::Flat {
        return;
    }
    for allocator in PEERS {
        add("traces", allocator, replay.instructions(allocator));
    }
}
