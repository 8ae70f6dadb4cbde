//! `cargo xtask map`: a sample heap and its bitmap, drawn.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::process;
use crate::project;
use crate::setup::{Install, Needs};

/// Draws a sample heap: arenas, spans, the parts of the heap bitmap that are Ready, and the words
/// of objects.
///
/// # Errors
/// If the program that draws the heap cannot be started.
pub(crate) fn command(install: Install) -> Result<ExitCode> {
    let toolchain = Needs::default().ensure(install)?;
    let mut command = toolchain.cargo("run");
    command
        .current_dir(project::root())
        .args(["--quiet", "--release", "--package", "archipelago-bench"])
        .args(["--features", "heap-bits", "--bin", "map"]);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", process::describe(&command)))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
