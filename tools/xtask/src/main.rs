//! The project's commands: `cargo xtask run`, `cargo xtask test` and others.

extern crate alloc;

mod bench;
mod choices;
mod classes;
mod clean_room;
mod figures;
mod kernels;
mod listing;
mod machine;
mod machines;
mod map;
mod miri;
mod mutants;
mod process;
mod project;
mod qemu;
mod report;
mod run;
mod rustup;
mod setup;
mod size;
mod smp;
mod soak;
mod stack;
mod stages;
mod table;
mod toolchain;
mod tsan;
mod word_size;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};

use machine::{Machines, MemorySize};
use setup::Install;
use stages::Part;

/// The exit code of errors that the user has to put right: a missing program, a bad input.
const BAD_INPUT: u8 = 2;

/// The project's commands. Each installs the tools that it needs, or says how.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Install nothing: print the commands that would, and stop with exit code 2.
    #[arg(long, global = true)]
    no_install: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Boot the demo kernel and replay every recorded trace.
    ///
    /// With `--smp`, boot the kernel whose CPUs use one heap all at once instead.
    Run {
        #[command(flatten)]
        boot: Boot,
        /// How many CPUs, on all machines that can have them unless one is chosen.
        #[arg(long, value_name = "CPUS")]
        smp: Option<u32>,
    },
    /// Replay one trace in a kernel, without rebuilding the kernel.
    Replay {
        /// The trace, gzip or not; `tools/traces/recorded/README.md` describes the format.
        file: PathBuf,
        #[command(flatten)]
        boot: Boot,
    },
    /// Test everything, or one part of it.
    ///
    /// Closes with `N passed, N failed`; the exit code is 0 if nothing failed.
    Test {
        #[command(subcommand)]
        part: Option<Part>,
    },
    /// List the machines, the tools that each needs and whether they are installed.
    Machines,
    /// Run `run` and `test` in a clean room: a new Debian in a chroot under `target`. Needs root.
    CleanRoom {
        /// Where the Rust toolchain of the clean room comes from.
        #[arg(long, value_enum, default_value = "rustup")]
        toolchain: clean_room::Source,
        /// Keep the chroot afterwards.
        #[arg(long)]
        keep: bool,
    },
    /// Run the model of the heap for 10^8 operations on every geometry, the regression tests many
    /// times, calls instruction by instruction, or kernels of several CPUs many times.
    Soak(soak::Soak),
    /// Run the library's tests and the model under Miri, with strict provenance.
    Miri(miri::Miri),
    /// Run threads that free each other's objects under ThreadSanitizer.
    ///
    /// Builds the standard library for it. One of the tests races and has to be reported.
    Tsan,
    /// Run all tests of the host as programs with words of 32 bits.
    I686 {
        /// Only the test program of this name.
        test: Option<String>,
    },
    /// Run the models of publication, withdrawal and frees of other CPUs' slots under loom,
    /// optimised.
    Loom,
    /// Change the library, one place at a time, and list the changes that its fast tests do not
    /// find.
    ///
    /// Takes hours without a file. The exit code is 1 if a change survives that is not recorded as
    /// no fault.
    Mutants(mutants::Options),
    /// Choose the size classes for every page size, and check or write the library's table of them.
    Classes(classes::Options),
    /// Count the costs of the heap and of other heaps, and compare them with bounds.
    ///
    /// Prints a table for each part. The exit code is 0 if every bound was kept, and the README has
    /// these figures.
    Bench(bench::Options),
    /// Link the heaps for small parts and other heaps, and compare their sizes with bounds.
    ///
    /// Prints a line `size HEAP PROFILE TARGET BYTES` each, with `,init` after the profile if the
    /// code that gives the heap its memory is counted, too. The exit code is 0 if every bound was
    /// kept, and the README has these figures.
    Size(size::Options),
    /// Measure the stack that the heap uses at every level of optimisation, and compare it with
    /// bounds.
    ///
    /// Boots a kernel that paints its stack, on every machine with an MMU, and prints a line
    /// `stack MACHINE PROFILE CALL BYTES` for each call. The exit code is 0 if every bound was
    /// kept, and the README has these figures.
    Stack(figures::Stale),
    /// Measure every figure of the README, and compare the README's with them or write them there.
    ///
    /// Does what `size`, `stack` and `bench` do. The exit code is 0 if the README has these
    /// figures.
    Figures(figures::Stale),
    /// Compare the machine code of a lookup with the recorded one, and count its dependent loads.
    Listing(listing::Options),
    /// Draw a sample heap and its bitmap: which words hold pointers.
    ///
    /// Fills a heap on the simulated machine, then prints its arenas, its spans, the parts of the
    /// bitmap that have memory, and the pointers in two objects.
    Map,
}

/// Where a kernel boots.
#[derive(Args, Clone, Copy, Debug)]
struct Boot {
    /// The machine, x86_64 by default, or `all` for one after the other; `cargo xtask machines`
    /// lists them.
    #[arg(long)]
    machine: Option<Machines>,
    /// The machine's memory, in bytes or with a suffix of K, M or G; each machine has a default,
    /// and a board without an MMU nothing else.
    #[arg(long)]
    memory: Option<MemorySize>,
}

impl Boot {
    /// The machines of kernels on one CPU.
    fn machine(&self) -> Machines {
        self.machine.unwrap_or(machine::DEFAULT)
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let install = if cli.no_install {
        Install::Never
    } else {
        Install::AsNeeded
    };
    match dispatch(cli.command, install) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<setup::Missing>() || error.is::<run::BadInput>() {
                ExitCode::from(BAD_INPUT)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints why a command line is refused, or the help that it asks for.
fn refuse(error: &clap::Error) -> ExitCode {
    // A terminal that cannot be written to shows no message, which is all there is to lose.
    let _ = error.print();
    let words: Vec<_> = env::args().skip(1).collect();
    if let Some(choices) = choices::of(error, &Cli::command(), &words) {
        eprint!("{choices}");
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn dispatch(command: Command, install: Install) -> Result<ExitCode> {
    match command {
        Command::Run {
            boot,
            smp: Some(cpus),
        } => smp::run(cpus, boot.machine, boot.memory, install),
        Command::Run { boot, smp: None } => run::demo(boot.machine(), boot.memory, install),
        Command::Replay { file, boot } => run::replay(&file, boot.machine(), boot.memory, install),
        Command::Test { part } => stages::run(part, install),
        Command::CleanRoom { toolchain, keep } => clean_room::run(toolchain, keep, install),
        Command::Machines => {
            machines::list()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Soak(options) => soak::soak(options, install),
        Command::Miri(options) => miri::miri(&options, install),
        Command::Tsan => tsan::tsan(install),
        Command::I686 { test } => word_size::all_on_32_bits(test.as_deref(), install),
        Command::Loom => soak::loom(),
        Command::Mutants(options) => mutants::command(&options, install),
        Command::Classes(options) => classes::command(options, install),
        Command::Bench(options) => bench::run(&options, install),
        Command::Size(options) => size::command(&options, install),
        Command::Stack(stale) => stack::command(stale, install),
        Command::Figures(stale) => figures::command(stale, install),
        Command::Map => map::command(install),
        Command::Listing(options) => {
            listing::command(options, install)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
