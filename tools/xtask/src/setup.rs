//! Installing the programs that the commands need: QEMU and linkers from the system's packages,
//! targets and components through rustup. The version of no toolchain is ever changed.

use core::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::machine::{Machine, Package};
use crate::process;
use crate::toolchain::{TargetState, Toolchain, can_be_prebuilt, on_path, without_installs};

/// Whether missing programs are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Install {
    AsNeeded,
    Never,
}

/// The libraries' sources, where rustup is missing.
const RUST_SOURCE: Package = Package {
    debian: "rust-src",
    fedora: "rust-src",
    arch: "rust-src",
    homebrew: Some("rustup"),
};
/// Rustup's name of the libraries' sources.
const SOURCE_COMPONENT: &str = "rust-src";
const LINKER: Package = Package {
    debian: "lld",
    fedora: "lld",
    arch: "lld",
    homebrew: Some("lld"),
};
const BOOTSTRAP: Package = Package {
    debian: "debootstrap",
    fedora: "debootstrap",
    arch: "debootstrap",
    homebrew: None,
};

/// The names of the C library's functions, for profiles.
const NAMES_OF_LIBC: Package = Package {
    debian: "libc6-dbg",
    fedora: "glibc-debuginfo",
    arch: "glibc",
    homebrew: None,
};

/// A program that is no part of a toolchain for Rust.
#[derive(Debug)]
pub(crate) struct Program {
    /// The name by which it is started.
    name: &'static str,
    package: Package,
}

const PROFILER: Program = Program {
    name: "valgrind",
    package: Package {
        debian: "valgrind",
        fedora: "valgrind",
        arch: "valgrind",
        homebrew: Some("valgrind"),
    },
};
const C_COMPILER: Program = Program {
    name: "cc",
    package: Package {
        debian: "gcc",
        fedora: "gcc",
        arch: "gcc",
        homebrew: Some("gcc"),
    },
};
const CPP_COMPILER: Program = Program {
    name: "c++",
    package: Package {
        debian: "g++",
        fedora: "gcc-c++",
        arch: "gcc",
        homebrew: Some("gcc"),
    },
};
const MAKE: Program = Program {
    name: "make",
    package: Package {
        debian: "make",
        fedora: "make",
        arch: "make",
        homebrew: Some("make"),
    },
};

/// The programs that count instructions of a process, and those that build heaps which are written
/// in C and C++ if there are any.
pub(crate) fn profiling(builds_native: bool) -> Vec<&'static Program> {
    let mut programs = vec![&PROFILER];
    if builds_native {
        programs.extend([&C_COMPILER, &CPP_COMPILER, &MAKE]);
    }
    programs
}

/// Whether the C library's functions have names, as far as it can be told: on Debian those are in a
/// package.
fn has_names_of_libc() -> bool {
    let Ok(installed) = std::fs::read_dir("/var/lib/dpkg/info") else {
        return true;
    };
    let mut names = installed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.any(|name| name.starts_with(NAMES_OF_LIBC.debian) && name.ends_with(".list"))
}

/// A part of the toolchain that is installed by itself.
#[derive(Debug)]
pub(crate) struct Component {
    /// The component's name in rustup.
    name: &'static str,
    /// Cargo's subcommand that is there if the component is.
    subcommand: &'static str,
    package: Package,
}

pub(crate) const RUSTFMT: Component = Component {
    name: "rustfmt",
    subcommand: "fmt",
    package: Package {
        debian: "rustfmt",
        fedora: "rustfmt",
        arch: "rust",
        homebrew: Some("rustup"),
    },
};
pub(crate) const CLIPPY: Component = Component {
    name: "clippy",
    subcommand: "clippy",
    package: Package {
        debian: "rust-clippy",
        fedora: "clippy",
        arch: "rust",
        homebrew: Some("rustup"),
    },
};

/// The programs, targets and components that a command uses.
#[derive(Debug, Default)]
pub(crate) struct Needs<'a> {
    pub(crate) machines: Vec<&'a Machine>,
    pub(crate) targets: Vec<&'a str>,
    pub(crate) components: Vec<&'a Component>,
    pub(crate) programs: Vec<&'a Program>,
    /// Whether a profile has to know the C library's functions by their names.
    pub(crate) names_of_libc: bool,
    /// Whether a Debian in a folder is going to be made.
    pub(crate) bootstrap: bool,
}

/// An error: something is missing and may not or cannot be installed. The text says how to install
/// it.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Missing {}

impl Needs<'_> {
    /// Installs missing programs if that is wanted and possible, and returns the toolchain.
    ///
    /// # Errors
    /// [`Missing`] if something stays missing.
    pub(crate) fn ensure(&self, install: Install) -> Result<Toolchain> {
        let toolchain = Toolchain::detect()?;
        let plan = self.plan(&toolchain);
        if plan.is_empty() {
            return Ok(toolchain);
        }
        let right = plan.right_to_install();
        let (Install::AsNeeded, Some(right)) = (install, right) else {
            bail!(Missing(plan.instructions()));
        };
        plan.carry_out(right)?;
        let toolchain = Toolchain::detect()?;
        let left = self.plan(&toolchain);
        if left.is_empty() {
            return Ok(toolchain);
        }
        bail!(Missing(format!(
            "still missing after installing:\n{}",
            left.instructions()
        )))
    }

    /// The commands that install missing programs, if any are missing.
    pub(crate) fn instructions(&self, toolchain: &Toolchain) -> Option<String> {
        let plan = self.plan(toolchain);
        (!plan.is_empty()).then(|| plan.instructions())
    }

    fn plan(&self, toolchain: &Toolchain) -> Plan {
        let mut plan = Plan::default();
        for machine in &self.machines {
            if !on_path(machine.qemu) {
                plan.package(machine.package);
            }
        }
        for target in &self.targets {
            match (toolchain.target_state(target), toolchain.rustup) {
                (TargetState::Missing, true) if can_be_prebuilt(target) => {
                    plan.targets.push((*target).to_owned());
                }
                (TargetState::Missing, true) => plan.component(SOURCE_COMPONENT),
                (TargetState::Missing, false) => plan.package(RUST_SOURCE),
                (TargetState::Prebuilt | TargetState::FromSource, _) => {}
            }
        }
        for component in &self.components {
            match (toolchain.has(component.subcommand), toolchain.rustup) {
                (false, true) => plan.component(component.name),
                (false, false) => plan.package(component.package),
                (true, _) => {}
            }
        }
        if !self.machines.is_empty() && !toolchain.links() {
            plan.package(LINKER);
        }
        for program in &self.programs {
            if !on_path(program.name) {
                plan.package(program.package);
            }
        }
        if self.names_of_libc && !has_names_of_libc() {
            plan.package(NAMES_OF_LIBC);
        }
        if self.bootstrap && !on_path("debootstrap") {
            plan.package(BOOTSTRAP);
        }
        plan
    }
}

/// How this process may install the system's packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// No other right is needed: the process is root, or installs no system packages.
    Own,
    /// `sudo` asks for no password.
    Sudo,
}

/// The packages, targets and components to install.
#[derive(Debug, Default)]
struct Plan {
    packages: Vec<Package>,
    targets: Vec<String>,
    components: Vec<&'static str>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.targets.is_empty() && self.components.is_empty()
    }

    fn package(&mut self, package: Package) {
        if !self.packages.contains(&package) {
            self.packages.push(package);
        }
    }

    fn component(&mut self, name: &'static str) {
        if !self.components.contains(&name) {
            self.components.push(name);
        }
    }

    /// Debian's names. The toolchain it keeps current beside its own has names of its own.
    fn debian_names(&self) -> Vec<String> {
        let current = Path::new("/var/lib/dpkg/info/rustc-web.list").exists();
        let name = |package: &Package| match package.debian {
            "rust-src" if current => "rust-web-src".to_owned(),
            "rustfmt" if current => "rustfmt-web".to_owned(),
            "rust-clippy" if current => "rust-web-clippy".to_owned(),
            name => name.to_owned(),
        };
        self.packages.iter().map(name).collect()
    }

    /// The `rustup` command lines.
    fn rustup(&self) -> Vec<Vec<String>> {
        let words = |verb: &str, names: Vec<String>| {
            let mut words = vec!["rustup".to_owned(), verb.to_owned(), "add".to_owned()];
            words.extend(names);
            words
        };
        let mut lines = Vec::new();
        if !self.targets.is_empty() {
            lines.push(words("target", self.targets.clone()));
        }
        if !self.components.is_empty() {
            let names = self
                .components
                .iter()
                .map(|name| (*name).to_owned())
                .collect();
            lines.push(words("component", names));
        }
        lines
    }

    /// The commands that a user would type, on each of the systems.
    fn instructions(&self) -> String {
        let mut lines = vec!["programs or targets are missing; to install them:".to_owned()];
        if !self.packages.is_empty() {
            let names = |of: fn(&Package) -> Option<&'static str>| {
                let mut names: Vec<_> = self.packages.iter().filter_map(of).collect();
                names.sort_unstable();
                names.dedup();
                names.join(" ")
            };
            let debian = self.debian_names().join(" ");
            for (system, install, names) in [
                (
                    "Debian",
                    "sudo apt-get update && sudo apt-get install",
                    debian,
                ),
                (
                    "Fedora",
                    "sudo dnf install",
                    names(|package| Some(package.fedora)),
                ),
                (
                    "Arch",
                    "sudo pacman -S",
                    names(|package| Some(package.arch)),
                ),
                (
                    "Homebrew",
                    "brew install",
                    names(|package| package.homebrew),
                ),
            ] {
                if !names.is_empty() {
                    lines.push(format!("  {:<10} {install} {names}", format!("{system}:")));
                }
            }
        }
        lines.extend(
            self.rustup()
                .iter()
                .map(|words| format!("  rustup:    {}", words.join(" "))),
        );
        lines.join("\n")
    }

    /// How this process may carry the plan out, if it may.
    fn right_to_install(&self) -> Option<Right> {
        if self.packages.is_empty() {
            return Some(Right::Own);
        }
        if !Path::new("/etc/debian_version").exists() || !on_path("apt-get") {
            return None;
        }
        if is_root() {
            return Some(Right::Own);
        }
        process::output_of(Command::new("sudo").args(["-n", "true"])).map(|_| Right::Sudo)
    }

    fn carry_out(&self, right: Right) -> Result<()> {
        if !self.packages.is_empty() {
            let install = ["apt-get", "install", "--yes", "--no-install-recommends"];
            let mut words: Vec<_> = install.map(str::to_owned).into();
            words.extend(self.debian_names());
            for words in [vec!["apt-get".to_owned(), "update".to_owned()], words] {
                let mut prefix = vec![
                    "env".to_owned(),
                    "DEBIAN_FRONTEND=noninteractive".to_owned(),
                ];
                if right == Right::Sudo {
                    prefix.insert(0, "sudo".to_owned());
                    prefix.insert(1, "-n".to_owned());
                }
                prefix.extend(words);
                shown(&prefix)?;
            }
        }
        self.rustup().iter().try_for_each(|words| shown(words))
    }
}

/// Prints a command and runs it, with its output shown.
fn shown(words: &[String]) -> Result<()> {
    println!("installing: {}", words.join(" "));
    let Some((program, arguments)) = words.split_first() else {
        bail!("an empty command");
    };
    let mut command = Command::new(program);
    let status = without_installs(&mut command)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!(Missing(format!("`{}` failed: {status}", words.join(" "))));
    }
    Ok(())
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    process::output_of(Command::new("id").arg("-u")).is_some_and(|id| id == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QEMU: Package = Package {
        debian: "qemu-system-x86",
        fedora: "qemu-system-x86-core",
        arch: "qemu-system-x86",
        homebrew: Some("qemu"),
    };

    #[test]
    fn instructions_name_every_system_and_every_part() {
        let mut plan = Plan {
            targets: vec!["armv7a-none-eabi".to_owned()],
            ..Plan::default()
        };
        plan.package(QEMU);
        plan.package(QEMU);
        plan.component("clippy");
        plan.component("clippy");
        let text = plan.instructions();
        for line in [
            "apt-get install qemu-system-x86\n",
            "dnf install qemu-system-x86-core\n",
            "pacman -S qemu-system-x86\n",
            "brew install qemu\n",
            "rustup target add armv7a-none-eabi\n",
            "rustup component add clippy",
        ] {
            assert!(text.contains(line), "{line:?} in:\n{text}");
        }
    }

    #[test]
    fn a_plan_without_packages_needs_no_root() {
        let plan = Plan {
            components: vec!["clippy"],
            ..Plan::default()
        };
        assert_eq!(plan.right_to_install(), Some(Right::Own));
        assert!(!plan.instructions().contains("apt-get"));
    }
}
