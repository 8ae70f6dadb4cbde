//! `cargo xtask i686`: the host's tests as programs whose words have 32 bits.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::project;
use crate::rustup;
use crate::setup::{self, Install};
use crate::soak::{follow, follow_all};
use crate::toolchain::{TargetState, Toolchain};

/// A target whose words have 32 bits and whose programs run on this host. Rustup's linker and the C
/// library that comes with this target need nothing of the host's.
pub(crate) const HOSTED_32: &str = "i686-unknown-linux-musl";

/// The feature of a heap with a bitmap, and the program of tests that only such a heap has.
pub(crate) const BITMAP: [&str; 6] = [
    "--package",
    "archipelago",
    "--features",
    "archipelago/heap-bits",
    "--test",
    "scannable",
];

/// Runs all tests of the host as programs with words of 32 bits.
///
/// # Errors
/// If the target cannot be had.
pub(crate) fn all_on_32_bits(filter: Option<&str>, install: Install) -> Result<ExitCode> {
    let toolchain = Toolchain::detect()?;
    let mut command = hosted_32(&toolchain, install)?;
    // The commands and page tables of 64 bits are for the host alone. Orders of accesses do not
    // depend on the width of words.
    command.args(["--workspace", "--no-fail-fast"]);
    command.args(["--exclude", "xtask", "--exclude", "archipelago-x86_64"]);
    command.args([
        "--exclude",
        "archipelago-derive",
        "--exclude",
        "archipelago-loom",
    ]);
    command.args(["--exclude", "archipelago-tidy"]);
    if let Some(filter) = filter {
        // Some programs need the bitmap.
        command.args(["--features", "archipelago/heap-bits"]);
        command.arg(format!("--test={filter}"));
        return follow(command);
    }
    let mut scannable = hosted_32(&toolchain, install)?;
    scannable.args(BITMAP).arg("--lib");
    follow_all([command, scannable])
}

/// A `cargo test` for [`HOSTED_32`] without the names of tests, which the caller adds.
///
/// # Errors
/// If the toolchain does not have the target and cannot install it.
pub(crate) fn hosted_32(toolchain: &Toolchain, install: Install) -> Result<Command> {
    if toolchain.target_state(HOSTED_32) != TargetState::Prebuilt {
        if !toolchain.rustup {
            bail!(setup::Missing(format!(
                "{HOSTED_32} comes with rustup's toolchains only"
            )));
        }
        // The standard library has to come built, because the sources of `core` alone make no
        // program of the host.
        let add = format!("rustup target add {HOSTED_32}");
        rustup::add(HOSTED_32, &add, install)?;
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
