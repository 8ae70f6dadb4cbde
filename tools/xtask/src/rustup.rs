//! Adding a target or a component to a toolchain of rustup's.

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup::{Install, Missing};

/// Adds `what` by the command line `command`.
///
/// # Errors
/// [`Missing`] if nothing may be installed. If the command fails.
pub(crate) fn add(what: &str, command: &str, install: Install) -> Result<()> {
    if install == Install::Never {
        bail!(Missing(format!("{what} is missing: {command}")));
    }
    println!("installing: {command}");
    let mut words = command.split(' ');
    let mut rustup = Command::new(words.next().unwrap_or("rustup"));
    if !rustup.args(words).status()?.success() {
        bail!("could not install {what}: {command}");
    }
    Ok(())
}
