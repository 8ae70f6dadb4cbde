//! Runs that take long, each with a short version inside the test run: the model's soak, Miri,
//! loom.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::Args;

use crate::process;
use crate::setup::{self, Install};
use crate::toolchain::{self, Toolchain};

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
/// every geometry.
///
/// # Errors
/// If there is no nightly toolchain with Miri and it cannot be had.
pub(crate) fn miri(options: &Miri, install: Install) -> Result<ExitCode> {
    ensure_miri(install)?;
    let mut command = Command::new("cargo");
    toolchain::without_installs(&mut command);
    command.args(["+nightly", "miri", "test", "--package", "archipelago"]);
    command.args(["--lib", "--test", "model", "--target-dir", "target/miri"]);
    command.env("MIRIFLAGS", "-Zmiri-strict-provenance");
    match &options.filter {
        Some(filter) => command.args(["--", filter]),
        // Planted corruptions damage memory on purpose; the classes are numbers alone, and very many.
        None => command.args(["--", "--skip", "heap::planted", "--skip", "span::class"]),
    };
    follow(command)
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
    if install == Install::Never {
        bail!(setup::Missing(format!("Miri is missing: {add}")));
    }
    println!("installing: {add}");
    let mut words = add.split(' ');
    let mut command = Command::new(words.next().unwrap_or("rustup"));
    if !command.args(words).status()?.success() {
        bail!("could not install Miri: {add}");
    }
    Ok(())
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
