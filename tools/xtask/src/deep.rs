//! Runs that take long, each with a short version inside the test run: the model's soak, Miri,
//! loom, all tests on words of 32 bits.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Args;

use crate::process;
use crate::project;
use crate::setup::{self, Install};
use crate::toolchain::{self, TargetState, Toolchain};

/// How long to soak.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Soak {
    /// Operations of the model, over all geometries.
    #[arg(long, default_value_t = 100_000_000)]
    operations: u64,
    /// The seed of the first round; a failing round prints its own.
    #[arg(long)]
    seed: Option<u64>,
}

/// What Miri runs over.
#[derive(Args, Clone, Debug)]
pub(crate) struct Miri {
    /// Only tests whose names contain this.
    filter: Option<String>,
    /// The target that Miri pretends to run on: `s390x-unknown-linux-gnu` has the other byte order,
    /// `i686-unknown-linux-gnu` words of 32 bits. The host if none is named.
    #[arg(long)]
    target: Option<String>,
    /// All tests of the host instead of the library's and the model's: for days, not for hours.
    /// Machines with page tables are left out: they make pointers of numbers.
    #[arg(long)]
    whole: bool,
}

/// Packages that Miri has nothing to find in, or that make pointers of numbers.
const NOT_INTERPRETED: &[&str] = &[
    "xtask",
    "archipelago-bench",
    "archipelago-derive",
    "archipelago-arm",
    "archipelago-mips",
    "archipelago-paging",
    "archipelago-tidy",
    "archipelago-x86_64",
];

/// A target whose words have 32 bits and whose programs run on this host. Rustup's linker and the C
/// library that comes with this target need nothing of the host's.
pub(crate) const HOSTED_32: &str = "i686-unknown-linux-musl";

/// A target with words of 32 bits, for Miri.
pub(crate) const INTERPRETED_32: &str = "i686-unknown-linux-gnu";

/// A target of the other byte order, for Miri.
pub(crate) const BIG_ENDIAN: &str = "s390x-unknown-linux-gnu";

/// One with words of 32 bits in the other byte order.
pub(crate) const BIG_ENDIAN_32: &str = "powerpc-unknown-linux-gnu";

/// The feature of a heap with a bitmap, and the program of tests that only such a heap has.
pub(crate) const BITMAP: [&str; 6] = [
    "--package",
    "archipelago",
    "--features",
    "archipelago/heap-bits",
    "--test",
    "scannable",
];

/// What Miri runs of those on every kind of target: the layer itself, and a heap of each kind.
const BITMAP_INTERPRETED: [&str; 3] = ["bits::tests", "objects::small::", "moves::small::"];

/// Runs all tests of the host as programs with words of 32 bits.
///
/// # Errors
/// If the target cannot be had.
pub(crate) fn all_on_32_bits(filter: Option<&str>, install: Install) -> Result<ExitCode> {
    let toolchain = Toolchain::detect()?;
    let mut command = hosted_32(&toolchain, install)?;
    // What is for the host alone: commands, and page tables of 64 bits.
    command.args(["--workspace", "--no-fail-fast"]);
    command.args(["--exclude", "xtask", "--exclude", "archipelago-x86_64"]);
    command.args(["--exclude", "archipelago-derive"]);
    command.args(["--exclude", "archipelago-tidy"]);
    if let Some(filter) = filter {
        // Some programs are there with the bitmap alone.
        command.args(["--features", "archipelago/heap-bits"]);
        command.arg(format!("--test={filter}"));
        return follow(command);
    }
    let mut scannable = hosted_32(&toolchain, install)?;
    scannable.args(BITMAP).arg("--lib");
    follow_all([command, scannable])
}

/// A `cargo test` for [`HOSTED_32`], to be told which tests.
///
/// # Errors
/// If the toolchain has no such target and cannot get it.
pub(crate) fn hosted_32(toolchain: &Toolchain, install: Install) -> Result<Command> {
    if toolchain.target_state(HOSTED_32) != TargetState::Prebuilt {
        if !toolchain.rustup {
            bail!(setup::Missing(format!(
                "{HOSTED_32} comes with rustup's toolchains only"
            )));
        }
        // Its library has to come built: sources of `core` alone make no program of the host's.
        let add = format!("rustup target add {HOSTED_32}");
        bring(HOSTED_32, &add, install)?;
    }
    let mut command = toolchain.cargo("test");
    command.current_dir(project::root());
    command.args(["--target", HOSTED_32]);
    // A process of 32 bits has room for the windows of one test at a time.
    command.env("RUST_TEST_THREADS", "1");
    let name = HOSTED_32.to_uppercase().replace('-', "_");
    command.env(format!("CARGO_TARGET_{name}_LINKER"), "rust-lld");
    let flags = "-Clink-self-contained=yes -Clinker-flavor=ld.lld";
    command.env(format!("CARGO_TARGET_{name}_RUSTFLAGS"), flags);
    Ok(command)
}

/// Runs the model test for many operations, in the release profile, with progress.
///
/// # Errors
/// If cargo cannot be started.
pub(crate) fn soak(options: Soak) -> Result<ExitCode> {
    let toolchain = Toolchain::detect()?;
    let mut command = toolchain.cargo("test");
    command.args(["--release", "--test", "model", "--", "--nocapture"]);
    command.env("ARCHIPELAGO_OPERATIONS", options.operations.to_string());
    if let Some(seed) = options.seed {
        command.env("ARCHIPELAGO_SEED", seed.to_string());
    }
    follow(command)
}

/// Runs the model of the publication of sparse words under loom.
///
/// # Errors
/// If cargo cannot be started.
pub(crate) fn loom() -> Result<ExitCode> {
    let toolchain = Toolchain::detect()?;
    let mut command = toolchain.cargo("test");
    command.args(["--release", "--package", "archipelago", "--lib", "loom"]);
    command.args(["--target-dir", "target/loom"]);
    command.env("RUSTFLAGS", "--cfg loom");
    follow(command)
}

/// Runs Miri with strict provenance over the library's unit tests, and the model and the heap on
/// every geometry; then over the bitmap and heaps that have one, with words of either width and in
/// either byte order unless a target is named.
///
/// # Errors
/// If there is no nightly toolchain with Miri and it cannot be had.
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
        // Planted corruptions damage memory on purpose; the classes are numbers alone, and very many.
        None => command.args(["--", "--skip", "heap::planted", "--skip", "span::class"]),
    };
    let mut commands = vec![command];
    if options.filter.is_none() {
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

/// Brings `what` with `add`, a command of rustup's.
///
/// # Errors
/// If it may not, or the command fails.
fn bring(what: &str, add: &str, install: Install) -> Result<()> {
    if install == Install::Never {
        bail!(setup::Missing(format!("{what} is missing: {add}")));
    }
    println!("installing: {add}");
    let mut words = add.split(' ');
    let mut command = Command::new(words.next().unwrap_or("rustup"));
    if !command.args(words).status()?.success() {
        bail!("could not install {what}: {add}");
    }
    Ok(())
}

/// A `cargo miri test`, to be told which tests.
///
/// # Errors
/// If there is no nightly toolchain with Miri and it cannot be had.
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
            "Miri needs a nightly toolchain: rustup toolchain install nightly --profile minimal, then {add}"
        )));
    }
    bring("Miri", add, install)
}

/// Runs commands one after the other, all of them, and answers whether all succeeded.
fn follow_all(commands: impl IntoIterator<Item = Command>) -> Result<ExitCode> {
    let mut answer = ExitCode::SUCCESS;
    for command in commands {
        let code = follow(command)?;
        if code != ExitCode::SUCCESS {
            answer = code;
        }
    }
    Ok(answer)
}

/// Runs a command in the user's terminal and hands its success on.
fn follow(mut command: Command) -> Result<ExitCode> {
    println!("{}", process::describe(&command));
    let status = command.status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
