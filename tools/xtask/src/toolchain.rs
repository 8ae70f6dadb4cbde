//! The Rust toolchain: rustup's or a distribution's, and how it builds for a target.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, anyhow};

use crate::machine;
use crate::process;

/// The toolchain that runs this program's own cargo.
#[derive(Debug)]
pub(crate) struct Toolchain {
    cargo: OsString,
    sysroot: PathBuf,
    /// The output of `rustc -V`.
    pub(crate) version: String,
    host: String,
    /// Whether rustup manages it, so that it can add targets and components.
    pub(crate) rustup: bool,
}

/// How a target's `core` and `alloc` come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// The libraries are installed.
    Prebuilt,
    /// The libraries' sources are there; they are built with the code that needs them.
    FromSource,
    Missing,
}

/// Whether rustup has a target's libraries built.
pub(crate) fn can_be_prebuilt(target: &str) -> bool {
    machine::all()
        .filter(|machine| machine.target == target)
        .all(|machine| machine.is_prebuilt)
}

impl core::fmt::Display for TargetState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Prebuilt => "installed",
            Self::FromSource => "built from the library's sources",
            Self::Missing => "missing",
        })
    }
}

impl Toolchain {
    /// Finds the toolchain.
    ///
    /// # Errors
    /// If there is no `rustc`, which cannot be: something built this program.
    pub(crate) fn detect() -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ask = |arguments: &[&str]| {
            process::output_of(without_installs(&mut Command::new(&rustc)).args(arguments))
                .ok_or_else(|| anyhow!("`rustc {}` failed", arguments.join(" ")))
        };
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?);
        let version = ask(&["-V"])?;
        let verbose = ask(&["-vV"])?;
        let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("`rustc -vV` names no host")?.to_owned();
        let own = process::output_of(without_installs(&mut Command::new("rustup")).args([
            "which",
            "--toolchain",
            &sysroot.file_name().unwrap_or_default().to_string_lossy(),
            "rustc",
        ]));
        let rustup = own.is_some_and(|path| Path::new(&path).starts_with(&sysroot));
        Ok(Self {
            cargo,
            sysroot,
            version,
            host,
            rustup,
        })
    }

    /// How the target's libraries come about.
    pub(crate) fn target_state(&self, target: &str) -> TargetState {
        let rustlib = self.sysroot.join("lib/rustlib");
        if rustlib.join(target).join("lib").is_dir() {
            TargetState::Prebuilt
        } else if rustlib.join("src/rust/library/core").is_dir() {
            TargetState::FromSource
        } else {
            TargetState::Missing
        }
    }

    /// The host's target.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the sources of the whole standard library are installed.
    pub(crate) fn has_std_source(&self) -> bool {
        let rustlib = self.sysroot.join("lib/rustlib");
        rustlib.join("src/rust/library/std/src/lib.rs").is_file()
    }

    /// Whether programs of the host can be linked with ThreadSanitizer.
    pub(crate) fn has_thread_sanitizer(&self) -> bool {
        let libraries = self
            .sysroot
            .join("lib/rustlib")
            .join(&self.host)
            .join("lib");
        let files = fs::read_dir(libraries).into_iter().flatten().flatten();
        let mut names = files.filter_map(|file| file.file_name().into_string().ok());
        names.any(|name| name.ends_with("_rt.tsan.a"))
    }

    /// `cargo`, without arguments.
    pub(crate) fn cargo_command(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        without_installs(&mut command);
        command
    }

    /// A subcommand of `cargo`, for the host.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.cargo_command();
        command.arg(subcommand);
        command
    }

    /// `cargo` for a bare target: with `core` and `alloc` from source where nothing is prebuilt,
    /// and with a linker where the toolchain brings none.
    pub(crate) fn cargo_for(&self, subcommand: &str, target: &str) -> Command {
        let mut command = self.cargo(subcommand);
        command.args(["--target", target]);
        if self.target_state(target) == TargetState::FromSource {
            // A distribution's compiler is a stable one, which has to be told that this is meant.
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .arg("-Zbuild-std=core,alloc");
        }
        if !self.brings_linker() {
            if let Some(linker) = linker_on_path() {
                let name = target.to_uppercase().replace('-', "_");
                command.env(format!("CARGO_TARGET_{name}_LINKER"), linker);
            }
        }
        command
    }

    /// Whether kernels can be linked.
    pub(crate) fn links(&self) -> bool {
        self.brings_linker() || linker_on_path().is_some()
    }

    fn brings_linker(&self) -> bool {
        self.sysroot
            .join("lib/rustlib")
            .join(&self.host)
            .join("bin/rust-lld")
            .is_file()
    }

    /// Whether a cargo subcommand that comes as a component works.
    pub(crate) fn has(&self, subcommand: &str) -> bool {
        process::output_of(self.cargo(subcommand).arg("--version")).is_some()
    }
}

/// Keeps rustup from installing or updating anything as a side effect.
pub(crate) fn without_installs(command: &mut Command) -> &mut Command {
    command.env("RUSTUP_AUTO_INSTALL", "0")
}

/// An LLVM linker on the search path. Debian's carry a version at the end of their names.
fn linker_on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::split_paths(&path).collect();
    let plain = ["rust-lld", "ld.lld"]
        .iter()
        .find_map(|name| find_in(&folders, name));
    plain.or_else(|| {
        let files = folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten();
        let versioned = files.filter_map(|file| {
            let path = file.ok()?.path();
            let version: u32 = path
                .file_name()?
                .to_str()?
                .strip_prefix("ld.lld-")?
                .parse()
                .ok()?;
            Some((version, path))
        });
        versioned.max().map(|(_, path)| path)
    })
}

/// Whether a program is on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).collect();
    find_in(&folders, program).is_some()
}

fn find_in(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
