//! The project's commands: `cargo xtask run`, `cargo xtask test` and what stands behind them.

extern crate alloc;

mod bench;
mod classes;
mod deep;
mod fresh;
mod kernels;
mod listing;
mod machine;
mod machines;
mod map;
mod process;
mod project;
mod qemu;
mod report;
mod run;
mod setup;
mod size;
mod stages;
mod toolchain;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use machine::{Machines, MemorySize};
use setup::Install;
use stages::Part;

/// The exit code for what the user has to put right: a missing program, a bad input.
const BAD_INPUT: u8 = 2;

/// The project's commands. Each installs what it needs, or says how.
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
    Run(Boot),
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
    /// List the machines, what each needs and whether it is there.
    Machines,
    /// Run `run` and `test` in a fresh Debian, in a chroot under `target`. Needs root.
    Fresh {
        /// Where the Rust toolchain of the fresh machine comes from.
        #[arg(long, value_enum, default_value = "rustup")]
        toolchain: fresh::Source,
        /// Keep the chroot afterwards.
        #[arg(long)]
        keep: bool,
    },
    /// Run the model of the heap for 10^8 operations on every geometry.
    Soak(deep::Soak),
    /// Run the library's tests and the model under Miri, with strict provenance.
    Miri(deep::Miri),
    /// Run all tests of the host as programs with words of 32 bits.
    I686 {
        /// Only the test program of this name.
        test: Option<String>,
    },
    /// Run the model of publication under loom.
    Loom,
    /// Choose the size classes for every page size, and check or write the library's table of them.
    Classes(classes::Options),
    /// Count what the heap costs, beside other heaps, and hold it against its bounds.
    ///
    /// Prints a table for each part. The exit code is 0 if every bound was kept.
    Bench(bench::Options),
    /// Link heaps for small parts, beside other heaps, and hold their sizes against their bounds.
    ///
    /// Prints a line `size HEAP PROFILE TARGET BYTES` each. The exit code is 0 if every bound was
    /// kept.
    Size(size::Options),
    /// Compare the machine code of a lookup with the recorded one, and count its dependent loads.
    Listing(listing::Options),
    /// Draw a sample heap and its bitmap: which words hold pointers.
    ///
    /// Fills a heap on the simulated machine, then prints its arenas, its spans, which parts of the
    /// bitmap have memory, and what the bitmap says of two objects.
    Map,
}

/// Where a kernel boots.
#[derive(Args, Clone, Copy, Debug)]
struct Boot {
    /// The machine, or `all` for one after the other; `cargo xtask machines` lists them.
    #[arg(long, default_value = "x86_64")]
    machine: Machines,
    /// The machine's memory, in bytes or with a suffix of K, M or G; each machine has a default, and
    /// a board without an MMU nothing else.
    #[arg(long)]
    memory: Option<MemorySize>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
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

fn dispatch(command: Command, install: Install) -> Result<ExitCode> {
    match command {
        Command::Run(boot) => run::demo(boot.machine, boot.memory, install),
        Command::Replay { file, boot } => run::replay(&file, boot.machine, boot.memory, install),
        Command::Test { part } => stages::run(part, install),
        Command::Fresh { toolchain, keep } => fresh::run(toolchain, keep, install),
        Command::Machines => {
            machines::list()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Soak(options) => deep::soak(options),
        Command::Miri(options) => deep::miri(&options, install),
        Command::I686 { test } => deep::all_on_32_bits(test.as_deref(), install),
        Command::Loom => deep::loom(),
        Command::Classes(options) => {
            classes::command(options)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(options) => bench::run(&options, install),
        Command::Size(options) => size::command(&options, install),
        Command::Map => map::command(install),
        Command::Listing(options) => {
            listing::command(options, install)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
