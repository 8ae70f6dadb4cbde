//! The published crates, as cargo packages them: each builds from its package alone and has what a
//! registry shows of it, a user's workspace gets the expected crates and no others, and the page of
//! each machine shows its kernels.

mod contents;
mod docs_rs;
mod users;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{msrv, step};
use crate::machine;
use crate::process;
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

/// The targets of users' workspaces and of the pages of documentation, apart from the host.
pub(super) fn targets() -> impl Iterator<Item = &'static str> {
    let prebuilt = machine::all().filter(|machine| machine.is_prebuilt);
    prebuilt.map(|machine| machine.target)
}

/// A crate as it was packaged.
#[derive(Debug)]
struct Packaged {
    name: String,
    /// Where the package was unpacked.
    folder: PathBuf,
    /// The entry of `cargo metadata`.
    metadata: Value,
}

/// The first release of Rust whose cargo packages crates that need each other: 1.90.
const FIRST: u32 = 90;

/// The minor number of the release that the output of `rustc -V` names.
fn minor(version: &str) -> Option<u32> {
    let number = version.strip_prefix("rustc 1.")?.split('.').next()?;
    number.parse().ok()
}

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    if minor(&toolchain.version).is_some_and(|minor| minor < FIRST) {
        let reason = format!("cargo packages crates that need each other from 1.{FIRST} on");
        return stage.skip("published crates", &reason);
    }
    let names = match msrv::published(toolchain) {
        Ok(names) => names,
        Err(error) => return fail(stage, "published crates", &[format!("{error:#}")]),
    };
    let mut package = toolchain.cargo("package");
    package
        .current_dir(project::root())
        .args(["--offline", "--allow-dirty", "--target-dir"])
        .arg(folder())
        .args(names.iter().flat_map(|name| ["--package", name]));
    if !step(stage, "package, and build from the packages", &mut package) {
        return;
    }
    let packages = match packaged(toolchain, &names) {
        Ok(packages) => packages,
        Err(error) => return fail(stage, "packages", &[format!("{error:#}")]),
    };
    for one in &packages {
        let name = format!("contents of {}", one.name);
        report(stage, &name, &contents::missing(one));
    }
    users::run(stage, toolchain);
    docs_rs::run(stage, toolchain, &packages);
}

/// Where crates are packaged, and what uses the packages is built.
fn folder() -> PathBuf {
    project::target_of("packages")
}

/// Where a crate's package was unpacked.
fn unpacked(name: &str) -> PathBuf {
    let version = env!("CARGO_PKG_VERSION");
    folder().join(format!("package/{name}-{version}"))
}

/// The crates as they were packaged.
///
/// # Errors
/// A package cannot be read.
fn packaged(toolchain: &Toolchain, names: &[String]) -> Result<Vec<Packaged>> {
    let user = users::workspace("all", names, names, "")?;
    let mut metadata = toolchain.cargo("metadata");
    metadata
        .current_dir(user)
        .args(["--offline", "--format-version", "1"]);
    let text = process::output_of(&mut metadata).context("`cargo metadata` failed")?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let of = |name: &String| {
        let found = packages.iter().find(|package| package["name"] == **name);
        Ok(Packaged {
            name: name.clone(),
            folder: unpacked(name),
            metadata: found.with_context(|| format!("no package {name}"))?.clone(),
        })
    };
    names.iter().map(of).collect()
}

/// Counts a check that found `faults`.
fn report(stage: &mut Stage, name: &str, faults: &[String]) {
    if faults.is_empty() {
        println!("  {name}: ok");
        stage.count(1, 0);
    } else {
        fail(stage, name, faults);
    }
}

fn fail(stage: &mut Stage, name: &str, faults: &[String]) {
    println!("  {name}: FAILED");
    faults.iter().for_each(|fault| println!("  | {fault}"));
    stage.count(0, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_as_a_number() {
        assert_eq!(minor("rustc 1.85.0 (4d91de4e4 2025-02-17)"), Some(85));
        assert_eq!(minor("rustc 1.100.0"), Some(100));
        assert_eq!(minor(""), None);
    }
}
