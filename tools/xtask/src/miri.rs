//! `cargo xtask miri`: tests interpreted by Miri, on targets of other word sizes and byte orders.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Args;

use crate::process;
use crate::project;
use crate::rustup;
use crate::setup::{self, Install};
use crate::soak::follow_all;
use crate::toolchain;
use crate::word_size::BITMAP;

/// The options of `cargo xtask miri`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Miri {
    /// Only tests whose names contain this text.
    filter: Option<String>,
    /// The target that Miri pretends to run on: `s390x-unknown-linux-gnu` has the other byte order,
    /// `i686-unknown-linux-gnu` words of 32 bits. The host if none is named.
    #[arg(long)]
    target: Option<String>,
    /// All tests of the host instead of the library's and the model's, which takes days instead of
    /// hours. Machines with page tables, and that of a process, are left out, because they make
    /// pointers of numbers.
    #[arg(long)]
    whole: bool,
}

/// Packages that Miri leaves out: without unsafe code, with pointers made of numbers, or with
/// memory from the system's calls.
const NOT_INTERPRETED: &[&str] = &[
    "xtask",
    "archipelago-bench",
    "archipelago-derive",
    "archipelago-arm",
    "archipelago-host",
    "archipelago-loom",
    "archipelago-mips",
    "archipelago-paging",
    "archipelago-tidy",
    "archipelago-workloads",
    "archipelago-x86_64",
];

/// A target with words of 32 bits, for Miri.
pub(crate) const INTERPRETED_32: &str = "i686-unknown-linux-gnu";

/// A target of the other byte order, for Miri.
pub(crate) const BIG_ENDIAN: &str = "s390x-unknown-linux-gnu";

/// A target with words of 32 bits in the other byte order, for Miri.
pub(crate) const BIG_ENDIAN_32: &str = "powerpc-unknown-linux-gnu";

/// The bitmap's tests that Miri runs on every kind of target: those of the layer, and of a heap.
const BITMAP_INTERPRETED: [&str; 3] = ["bits::tests", "objects::small::", "moves::small::"];

/// The program whose threads use a firmware heap.
pub(crate) const FIRMWARE: [&str; 4] = ["--package", "archipelago-firmware", "--test", "threads"];

/// Runs Miri with strict provenance over the library's unit tests, and the model and the heap on
/// every geometry; then over threads that use a firmware heap; then over the bitmap and heaps that
/// have one, with words of either width and in either byte order unless a target is named.
///
/// # Errors
/// If there is no nightly toolchain with Miri and none can be installed.
pub(crate) fn miri(options: &Miri, install: Install) -> Result<ExitCode> {
    let mut command = interpreted(options.target.as_deref(), install)?;
    if options.whole {
        command.args(["--workspace", "--no-fail-fast"]);
        command.args(NOT_INTERPRETED.iter().flat_map(|name| ["--exclude", name]));
        // Some tests read files: vectors, traces, the sources.
        command.env(
            "MIRIFLAGS",
            "-Zmiri-strict-provenance -Zmiri-disable-isolation",
        );
    } else {
        command.args(["--package", "archipelago", "--lib", "--test", "model"]);
    }
    match &options.filter {
        Some(filter) => command.args(["--", filter]),
        // Planted corruptions damage memory on purpose. The tests of the size classes compute with
        // very many numbers and touch no memory.
        None => command.args(["--", "--skip", "inspect::planted", "--skip", "span::class"]),
    };
    let mut commands = vec![command];
    if options.filter.is_none() {
        let mut firmware = interpreted(options.target.as_deref(), install)?;
        firmware.args(FIRMWARE);
        commands.push(firmware);
        let targets = match &options.target {
            Some(target) => vec![Some(target.as_str())],
            None => [INTERPRETED_32, BIG_ENDIAN, BIG_ENDIAN_32]
                .map(Some)
                .into_iter()
                .chain([None])
                .collect(),
        };
        for target in targets {
            let mut scannable = interpreted(target, install)?;
            scannable.args(BITMAP).args(["--lib", "--"]);
            scannable.args(BITMAP_INTERPRETED);
            commands.push(scannable);
        }
    }
    follow_all(commands)
}

/// A `cargo miri test` without the names of tests, which the caller adds.
///
/// # Errors
/// If there is no nightly toolchain with Miri and none can be installed.
pub(crate) fn interpreted(target: Option<&str>, install: Install) -> Result<Command> {
    ensure_miri(install)?;
    let mut command = Command::new("cargo");
    toolchain::without_installs(&mut command);
    command.current_dir(project::root());
    command.args(["+nightly", "miri", "test", "--target-dir", "target/miri"]);
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    command.env("MIRIFLAGS", "-Zmiri-strict-provenance");
    Ok(command)
}

/// Miri is a component of nightly toolchains; the toolchain itself is never changed.
fn ensure_miri(install: Install) -> Result<()> {
    let has = |args: &[&str]| {
        let mut command = Command::new("cargo");
        process::output_of(toolchain::without_installs(&mut command).args(args)).is_some()
    };
    if has(&["+nightly", "miri", "--version"]) {
        return Ok(());
    }
    let add = "rustup component add miri rust-src --toolchain nightly";
    if !has(&["+nightly", "--version"]) {
        bail!(setup::Missing(format!(
            "Miri needs a nightly toolchain: rustup toolchain install nightly --profile minimal, \
             then {add}"
        )));
    }
    rustup::add("Miri", add, install)
}
