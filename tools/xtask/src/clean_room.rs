//! `cargo xtask clean-room`: the two commands of the README on a machine without their tools.
//!
//! The machine is a folder: a minimal Debian, a C linker, a copy of the working tree, and one Rust
//! toolchain without anything added. The commands have to install everything else themselves.
//! Mounts are made in a namespace of their own, which ends with the command that made it, so that
//! removing the folder can never reach the host's devices.

use core::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::process;
use crate::project;
use crate::setup::{Install, Missing, Needs, is_root};
use crate::toolchain::Toolchain;

const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
const SECURITY_MIRROR: &str = "http://deb.debian.org/debian-security";

/// Packages that every download and the host's linker need.
const BASICS: &str = "ca-certificates gcc libc6-dev";

/// Where the working tree goes.
const CHECKOUT: &str = "/root/archipelago";

/// Where the Rust toolchain comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Rustup, with the toolchain in use here, in its minimal profile.
    Rustup,
    /// Debian's own compiler and cargo, without rustup.
    Debian,
}

/// Runs both commands in a new Debian and shows their output.
///
/// # Errors
/// If this process is not root, or the machine cannot be made. A command that fails is no error:
/// the exit code says so.
pub(crate) fn run(source: Source, keep: bool, install: Install) -> Result<ExitCode> {
    if !is_root() {
        bail!(Missing(
            "only root can make a chroot: run this command as root".to_owned()
        ));
    }
    let needs = Needs {
        bootstrap: true,
        ..Needs::default()
    };
    let toolchain = needs.ensure(install)?;
    let machine = CleanRoom {
        root: project::target_of("clean-room"),
    };
    machine.make()?;
    machine.add_toolchain(source, &toolchain)?;
    machine.add_working_tree()?;

    let mut summary = String::new();
    let mut passed = true;
    for command in ["cargo xtask run", "cargo xtask test"] {
        println!("\n$ {command}");
        let script = format!("cd {CHECKOUT} && exec {command}");
        let status = machine
            .inside(&script)
            .status()
            .context("cannot start the chroot")?;
        passed &= status.success();
        writeln!(summary, "{command}: {status}")?;
    }
    println!(
        "\nin a new Debian {SUITE} with {source:?}'s Rust:\n{}",
        summary.trim_end()
    );
    if keep {
        println!("the machine stays in {}", machine.root.display());
    } else {
        machine.remove()?;
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A Debian in a folder.
#[derive(Debug)]
struct CleanRoom {
    root: PathBuf,
}

impl CleanRoom {
    /// Makes it, in place of any earlier one.
    fn make(&self) -> Result<()> {
        self.remove()?;
        let mut bootstrap = Command::new("debootstrap");
        bootstrap
            .args(["--variant=minbase", SUITE])
            .arg(&self.root)
            .arg(MIRROR);
        shown("make a minimal Debian", &mut bootstrap)?;
        let sources =
            format!("deb {MIRROR} {SUITE} main\ndeb {SECURITY_MIRROR} {SUITE}-security main\n");
        fs::write(self.root.join("etc/apt/sources.list"), sources)?;
        // How the host reaches the network is no property of the machine that is tried out.
        for file in ["/etc/resolv.conf", "/etc/hosts"] {
            copy(Path::new(file), &self.at(file))?;
        }
        let basics =
            format!("apt-get update && apt-get install --yes --no-install-recommends {BASICS}");
        shown("install a linker for the host", &mut self.inside(&basics))?;
        let certificates = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if certificates.exists() {
            copy(certificates, &self.at("/etc/ssl/certs/ca-certificates.crt"))?;
        }
        Ok(())
    }

    fn add_toolchain(&self, source: Source, toolchain: &Toolchain) -> Result<()> {
        let script = match source {
            Source::Debian => {
                "apt-get install --yes --no-install-recommends rustc-web cargo-web".to_owned()
            }
            Source::Rustup => {
                self.add_rustup()?;
                let number = toolchain.version.split(' ').nth(1);
                let number = number.context("`rustc -V` names no version")?;
                format!(
                    "rustup toolchain install {number} --profile minimal --no-self-update \
                     && rustup default {number}"
                )
            }
        };
        shown("install the Rust toolchain", &mut self.inside(&script))
    }

    /// Copies the host's rustup program, without any toolchain of it.
    fn add_rustup(&self) -> Result<()> {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        let home = home.context("neither CARGO_HOME nor HOME is set")?;
        let programs = self.at("/root/.cargo/bin");
        fs::create_dir_all(&programs)?;
        let rustup = home.join("bin/rustup");
        if !rustup.exists() {
            bail!(
                "there is no {}: `--toolchain debian` does without",
                rustup.display()
            );
        }
        copy(&rustup, &programs.join("rustup"))?;
        for name in [
            "cargo",
            "rustc",
            "rustdoc",
            "cargo-fmt",
            "rustfmt",
            "cargo-clippy",
        ] {
            std::os::unix::fs::symlink("rustup", programs.join(name))?;
        }
        let settings = home.join("config.toml");
        if settings.exists() {
            copy(&settings, &self.at("/root/.cargo/config.toml"))?;
        }
        Ok(())
    }

    /// Copies the working tree as it is, without what was built.
    fn add_working_tree(&self) -> Result<()> {
        let checkout = self.at(CHECKOUT);
        fs::create_dir_all(&checkout)?;
        let mut pack = Command::new("tar");
        pack.arg("--directory").arg(project::root());
        pack.args(["--exclude=./target", "--exclude=./.git", "--create", "."]);
        let mut packing = pack
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start tar")?;
        let mut unpack = Command::new("tar");
        unpack.args(["--extract", "--directory"]).arg(&checkout);
        if let Some(stream) = packing.stdout.take() {
            unpack.stdin(stream);
        }
        let unpacked = unpack.status().context("cannot start tar")?;
        let packed = packing.wait()?;
        if !unpacked.success() || !packed.success() {
            bail!("copying the working tree failed");
        }
        Ok(())
    }

    /// A shell script in the machine, which knows nothing of the host's environment but its proxy.
    fn inside(&self, script: &str) -> Command {
        let enter = "mount -t proc proc \"$1/proc\" && mount --rbind /dev \"$1/dev\" \
                     && root=\"$1\" && shift && exec chroot \"$root\" /usr/bin/env -i \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "sh", "-ec", enter, "sh"])
            .arg(&self.root);
        command.args([
            "HOME=/root",
            "PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND=noninteractive",
        ]);
        for name in ["http_proxy", "https_proxy", "no_proxy", "TERM"] {
            if let Ok(value) = env::var(name) {
                command.arg(format!("{name}={value}"));
            }
        }
        command.args(["sh", "-ec", script]).stdin(Stdio::null());
        command
    }

    /// A path of the machine, as the host sees it.
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.root.display()))
            }
            _ => Ok(()),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::copy(from, to).map(drop).with_context(what)
}

/// Runs a step of making the machine.
fn shown(name: &str, command: &mut Command) -> Result<()> {
    let mut progress = process::Progress::start(name);
    let finished = process::run(command, None, |line| progress.update(line))?;
    let passed = finished.ending.success();
    progress.finish(if passed { "ok" } else { "FAILED" });
    if !passed {
        finished.lines.iter().for_each(|line| eprintln!("{line}"));
        bail!("cannot {name}");
    }
    Ok(())
}
