//! The build with the oldest supported compiler.
//!
//! The version in the manifest is a promise to users of the published crates. This module finds a
//! compiler of that version, asks it for its real version, and has it check these crates. A missing
//! compiler may be fetched into the build folder, beside the user's toolchains, which stay as they
//! are. Where none can be had, the check counts as skipped, not as passed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build::FEATURES;
use super::step;
use crate::process::{self, Progress};
use crate::project;
use crate::report::Stage;
use crate::setup::Install;
use crate::toolchain::{Toolchain, on_path, without_installs};

/// The oldest supported version, as the workspace's manifest states it.
const VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, install: Install) {
    let compiler = find(toolchain).or_else(|| match install {
        Install::AsNeeded => fetch_with_rustup().or_else(fetch_from_debian),
        Install::Never => None,
    });
    let Some(compiler) = compiler else {
        let tried = "no rustup that can install it, no Debian package to unpack";
        let reason = match install {
            Install::AsNeeded => format!("no rustc {VERSION} can be had: {tried}"),
            Install::Never => format!("no rustc {VERSION} is there, and none may be installed"),
        };
        return stage.skip(&format!("check with rustc {VERSION}"), &reason);
    };
    let published = match published(toolchain) {
        Ok(published) => published,
        Err(error) => {
            println!("  published crates: FAILED: {error:#}");
            return stage.count(0, 1);
        }
    };
    let mut check = compiler.cargo(toolchain);
    check
        .current_dir(project::root())
        .args(["check", "--features", FEATURES])
        .args(["--features", "archipelago-paging/lock_api"])
        .args(published.iter().flat_map(|name| ["--package", name]));
    check.arg("--target-dir").arg(folder().join("build"));
    step(
        stage,
        &format!("check with {}", compiler.version),
        &mut check,
    );
}

/// The names of the workspace's published packages.
pub(super) fn published(toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut metadata = toolchain.cargo("metadata");
    metadata
        .current_dir(project::root())
        .args(["--no-deps", "--format-version", "1"]);
    let text = process::output_of(&mut metadata).context("`cargo metadata` failed")?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    // The registries that a package may be published to: null for any, an empty list for none.
    let published = packages
        .iter()
        .filter(|package| package["publish"].is_null());
    let names = published.filter_map(|package| package["name"].as_str().map(str::to_owned));
    let names: Vec<_> = names.collect();
    ensure!(!names.is_empty(), "the workspace publishes no package");
    Ok(names)
}

/// Where compilers are fetched to, and where they build.
fn folder() -> PathBuf {
    project::target_of("msrv")
}

/// A compiler of the oldest supported version.
#[derive(Debug)]
struct Compiler {
    /// The output of `rustc -V`.
    version: String,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    /// The toolchain in use.
    Active,
    /// A toolchain of rustup's, in its usual home or in one of ours.
    Rustup {
        toolchain: String,
        home: Option<PathBuf>,
    },
    /// Debian's packages, unpacked here.
    Unpacked(PathBuf),
}

impl Compiler {
    /// The compiler, if it is there and of the oldest supported version.
    fn checked(origin: Origin) -> Option<Self> {
        let mut command = match &origin {
            Origin::Active => Command::new("rustc"),
            Origin::Rustup { toolchain, home } => rustup_run(toolchain, home.as_deref(), "rustc"),
            Origin::Unpacked(root) => unpacked(Command::new(root.join("usr/bin/rustc")), root),
        };
        let version = process::output_of(without_installs(&mut command).arg("-V"))?;
        is_oldest_supported(&version).then_some(Self { version, origin })
    }

    fn cargo(&self, toolchain: &Toolchain) -> Command {
        match &self.origin {
            Origin::Active => toolchain.cargo_command(),
            Origin::Rustup { toolchain, home } => rustup_run(toolchain, home.as_deref(), "cargo"),
            Origin::Unpacked(root) => {
                let mut cargo = unpacked(toolchain.cargo_command(), root);
                cargo.env("RUSTC", root.join("usr/bin/rustc"));
                cargo
            }
        }
    }
}

/// Whether the output of `rustc -V` names the oldest supported version, in any patch release.
fn is_oldest_supported(version: &str) -> bool {
    let number = version
        .strip_prefix("rustc ")
        .and_then(|rest| rest.split(' ').next());
    number
        .and_then(|number| number.strip_prefix(VERSION))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn rustup_run(toolchain: &str, home: Option<&Path>, program: &str) -> Command {
    let mut command = Command::new("rustup");
    without_installs(&mut command).args(["run", toolchain, program]);
    if let Some(home) = home {
        command.env("RUSTUP_HOME", home);
    }
    // This program runs under another toolchain, whose choice must not be inherited.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    command
}

/// Lets a program find the libraries that were unpacked with it.
fn unpacked(mut command: Command, root: &Path) -> Command {
    let libraries = [
        "usr/lib/x86_64-linux-gnu",
        "usr/lib/aarch64-linux-gnu",
        "usr/lib",
    ];
    let paths = libraries.map(|path| root.join(path).to_string_lossy().into_owned());
    command.env("LD_LIBRARY_PATH", paths.join(":"));
    command
}

/// A compiler that is there already.
fn find(toolchain: &Toolchain) -> Option<Compiler> {
    if is_oldest_supported(&toolchain.version) {
        return Compiler::checked(Origin::Active);
    }
    let rustup = |home: Option<PathBuf>| {
        [VERSION.to_owned(), format!("{VERSION}.0")]
            .into_iter()
            .find_map(|toolchain| {
                Compiler::checked(Origin::Rustup {
                    toolchain,
                    home: home.clone(),
                })
            })
    };
    rustup(None)
        .or_else(|| rustup(Some(folder().join("rustup"))))
        .or_else(|| Compiler::checked(Origin::Unpacked(folder().join("debian"))))
}

/// Lets rustup install one, into a home of our own.
fn fetch_with_rustup() -> Option<Compiler> {
    let home = folder().join("rustup");
    let toolchain = format!("{VERSION}.0");
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", &toolchain, "--profile", "minimal"]);
    install
        .arg("--no-self-update")
        .env("RUSTUP_HOME", &home)
        .env_remove("RUSTUP_TOOLCHAIN");
    fetch_step(
        &format!("install rustc {toolchain} into target/msrv"),
        &mut install,
    )?;
    Compiler::checked(Origin::Rustup {
        toolchain,
        home: Some(home),
    })
}

/// Unpacks Debian's packages of that version, if Debian has them.
fn fetch_from_debian() -> Option<Compiler> {
    if !on_path("apt-get") || !on_path("dpkg-deb") {
        return None;
    }
    let offered = process::output_of(Command::new("apt-cache").args(["madison", "rustc-web"]))?;
    let full = offered
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|version| is_oldest_supported(&format!("rustc {}", upstream(version))))?;
    let library = format!("libstd-rust-web-{VERSION}");
    let packages = [
        format!("rustc-web={full}"),
        format!("libstd-rust-web-dev={full}"),
        format!("{library}={full}"),
    ];
    let root = folder().join("debian");
    let archives = folder().join("archives");
    fs::create_dir_all(&root).ok()?;
    fs::create_dir_all(&archives).ok()?;
    let mut download = Command::new("apt-get");
    download
        .current_dir(&archives)
        .arg("download")
        .args(packages);
    // The compiler's own library, whatever its version is called.
    download.args(llvm_libraries(&library));
    fetch_step("download Debian's packages into target/msrv", &mut download)?;
    for archive in fs::read_dir(&archives).ok()? {
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(archive.ok()?.path()).arg(&root);
        fetch_step("unpack", &mut unpack)?;
    }
    Compiler::checked(Origin::Unpacked(root))
}

/// The upstream part of a Debian version.
fn upstream(version: &str) -> &str {
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

/// The LLVM packages that a package depends on.
fn llvm_libraries(package: &str) -> Vec<String> {
    let text = process::output_of(Command::new("apt-cache").args(["depends", package]));
    let text = text.unwrap_or_default();
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    names
        .filter(|name| name.starts_with("libllvm"))
        .map(str::to_owned)
        .collect()
}

/// Runs a step of fetching; `None` if it failed, which leaves the other ways to try.
fn fetch_step(name: &str, command: &mut Command) -> Option<()> {
    let mut progress = Progress::start(name);
    let finished = process::run(command, None, |line| progress.update(line));
    let passed = finished
        .as_ref()
        .is_ok_and(|finished| finished.ending.success());
    progress.finish(if passed { "ok" } else { "not possible" });
    passed.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_has_to_be_the_oldest_in_all_its_digits() {
        assert!(is_oldest_supported(&format!(
            "rustc {VERSION}.0 (4d91de4e4 2025-02-17)"
        )));
        assert!(is_oldest_supported(&format!("rustc {VERSION}.1")));
        assert!(!is_oldest_supported(&format!("rustc {VERSION}0.0")));
        assert!(!is_oldest_supported("rustc 1.95.0 (59807616e 2026-04-14)"));
        assert!(!is_oldest_supported(""));
    }

    #[test]
    fn a_debian_version_starts_with_the_upstream_one() {
        assert_eq!(upstream("1.85.0+dfsg3-1~deb12u3"), "1.85.0");
        assert_eq!(upstream("1.63.0"), "1.63.0");
    }
}
