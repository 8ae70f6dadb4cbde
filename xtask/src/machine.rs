//! The machines that kernels boot on, as data.

use core::fmt;
use core::str::FromStr;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::setup::Package;
use crate::toolchain::Toolchain;

/// A machine: what emulates it, what its kernels are built for, how it starts.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    /// The QEMU program.
    pub(crate) qemu: &'static str,
    /// What to install for it.
    pub(crate) package: Package,
    /// The kernels' Rust target.
    pub(crate) target: &'static str,
    /// QEMU's arguments, besides the memory, the kernel and its module. They name everything that
    /// would otherwise depend on QEMU's version or the host: the accelerator, the devices.
    pub(crate) arguments: &'static [&'static str],
}

pub(crate) const MACHINES: &[Machine] = &[Machine {
    name: "x86_64",
    qemu: "qemu-system-x86_64",
    package: Package {
        debian: "qemu-system-x86",
        fedora: "qemu-system-x86-core",
        arch: "qemu-system-x86",
        homebrew: Some("qemu"),
    },
    target: "x86_64-unknown-none",
    arguments: &[
        "-M",
        "pc",
        "-accel",
        "tcg",
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
        "-device",
        "isa-debug-exit,iobase=0xf4,iosize=0x04",
    ],
}];

/// The machine of that name.
///
/// # Errors
/// The names there are, if it is none of them.
pub(crate) fn find(name: &str) -> Result<&'static Machine, String> {
    MACHINES
        .iter()
        .find(|machine| machine.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = MACHINES.iter().map(|machine| machine.name).collect();
            format!("the machines are: {}", names.join(", "))
        })
}

impl Machine {
    /// The first line of what its QEMU says about its version, if it is there.
    pub(crate) fn qemu_version(&self) -> Option<String> {
        let text = process::output_of(Command::new(self.qemu).arg("--version"))?;
        text.lines().next().map(str::to_owned)
    }
}

/// Prints the machines, what each needs and whether it is there.
///
/// # Errors
/// If there is no Rust toolchain to ask.
pub(crate) fn list() -> Result<()> {
    let toolchain = Toolchain::detect()?;
    for machine in MACHINES {
        println!("{}", machine.name);
        let qemu = machine
            .qemu_version()
            .unwrap_or_else(|| "missing".to_owned());
        println!("  {:<24} {qemu}", machine.qemu);
        println!(
            "  {:<24} {}",
            machine.target,
            toolchain.target_state(machine.target)
        );
    }
    Ok(())
}

/// A machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemorySize {
    kib: u64,
}

impl MemorySize {
    pub(crate) const fn from_mib(mib: u64) -> Self {
        Self { kib: mib << 10 }
    }

    /// As one reads it.
    pub(crate) fn in_words(self) -> String {
        if self.kib % 1024 == 0 {
            format!("{} MiB", self.kib / 1024)
        } else {
            format!("{} KiB", self.kib)
        }
    }
}

/// In QEMU's form.
impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}K", self.kib)
    }
}

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
        let number: u64 = digits
            .parse()
            .map_err(|error| format!("{digits:?}: {error}"))?;
        let shift = match &text[digits.len()..].to_ascii_uppercase()[..] {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            suffix => return Err(format!("{suffix:?} is none of K, M and G")),
        };
        let bytes = number
            .checked_mul(1 << shift)
            .ok_or("more than any machine has")?;
        if bytes < 1024 || bytes % 1024 != 0 {
            return Err("QEMU takes whole KiB".to_owned());
        }
        Ok(Self { kib: bytes / 1024 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_size_has_a_suffix_or_is_in_bytes() {
        let of = |text: &str| text.parse::<MemorySize>();
        assert_eq!(of("64M"), Ok(MemorySize::from_mib(64)));
        assert_eq!(of("1g"), Ok(MemorySize::from_mib(1024)));
        assert_eq!(of("1048576"), Ok(MemorySize::from_mib(1)));
        for bad in ["", "M", "64X", "1", "-1M", "99999999999G"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_machine_is_answered_with_the_known_ones() {
        assert_eq!(find("x86_64").map(|machine| machine.name), Ok("x86_64"));
        assert_eq!(
            find("vax").map(|_| ()),
            Err("the machines are: x86_64".to_owned())
        );
    }
}
