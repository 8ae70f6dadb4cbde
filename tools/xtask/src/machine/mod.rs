//! The machines that kernels boot on, as data.

mod list;
mod size;

use core::str::FromStr;
use std::process::Command;

use anyhow::Result;

use list::MACHINES;
pub(crate) use size::MemorySize;

use crate::process;
use crate::setup::{Needs, Package};
use crate::toolchain::Toolchain;

/// A machine: what emulates it, what its kernels are built for, how it starts.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    /// Bits of an address.
    pub(crate) address_bits: u32,
    pub(crate) has_mmu: bool,
    /// The QEMU program.
    pub(crate) qemu: &'static str,
    /// What to install for it.
    pub(crate) package: Package,
    /// The kernels' Rust target.
    pub(crate) target: &'static str,
    /// The crate that knows it, which has code for no other target.
    pub(crate) package_name: &'static str,
    /// The feature that the kernels are built with, if the machine is another's with one.
    pub(crate) feature: Option<&'static str>,
    /// Those that it runs of the kernels for machines of its kind; none stands for all.
    pub(crate) kernels: &'static [&'static str],
    /// QEMU's arguments, besides the memory, the kernel and its module. They name everything that
    /// would otherwise depend on QEMU's version or the host: the accelerator, the devices.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) memory: Memory,
    pub(crate) loading: Loading,
    /// log2 of the nanoseconds of virtual time that an instruction takes where instructions are
    /// counted: such that the machine's counter can tell them apart.
    pub(crate) icount_shift: u32,
}

/// How much memory a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// As much as it is told; so much if nobody says.
    Chosen { default: MemorySize },
    /// What its board has.
    Fixed(MemorySize),
}

/// How a command line and a file reach a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loading {
    /// QEMU passes them on.
    Pvh,
    /// In a boot block at this physical address, where the kernel looks for one.
    Block { address: u64 },
}

/// All machines.
pub(crate) fn all() -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter()
}

/// One machine, or all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Machines {
    One(&'static Machine),
    All,
}

impl Machines {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static Machine> {
        all().filter(move |machine| match self {
            Self::One(one) => machine.name == one.name,
            Self::All => true,
        })
    }
}

impl FromStr for Machines {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "all" => Ok(Self::All),
            name => find(name).map(Self::One),
        }
    }
}

/// The machine of that name.
///
/// # Errors
/// The names there are, if it is none of them.
pub(crate) fn find(name: &str) -> Result<&'static Machine, String> {
    all().find(|machine| machine.name == name).ok_or_else(|| {
        let names: Vec<_> = all().map(|machine| machine.name).collect();
        format!("the machines are: {}", names.join(", "))
    })
}

/// Arguments of every machine.
const COMMON: [&str; 10] = [
    "-accel",
    "tcg",
    "-nodefaults",
    "-display",
    "none",
    "-serial",
    "stdio",
    "-nic",
    "none",
    "-no-reboot",
];

impl Machine {
    /// The arguments of cargo for the feature that its kernels are built with.
    pub(crate) fn feature_arguments(&self) -> impl Iterator<Item = String> {
        self.feature
            .into_iter()
            .flat_map(|name| ["--features".to_owned(), format!("archipelago-qemu/{name}")])
    }

    /// The memory it boots with if so much is wanted.
    pub(crate) fn memory(&self, wanted: Option<MemorySize>) -> MemorySize {
        match self.memory {
            Memory::Chosen { default } => wanted.unwrap_or(default),
            Memory::Fixed(size) => size,
        }
    }

    /// QEMU with all arguments that do not depend on the kernel.
    pub(crate) fn command(&self, memory: MemorySize) -> Command {
        let mut command = Command::new(self.qemu);
        command.args(self.arguments).args(COMMON);
        if let Memory::Chosen { .. } = self.memory {
            command.args(["-m", &memory.to_string()]);
        }
        command
    }

    /// The first line of what its QEMU says about its version, if it is there.
    pub(crate) fn qemu_version(&self) -> Option<String> {
        let text = process::output_of(Command::new(self.qemu).arg("--version"))?;
        text.lines().next().map(str::to_owned)
    }
}

/// Prints the machines, what each needs and whether it is there, and how to install what is not.
///
/// # Errors
/// If there is no Rust toolchain to ask.
pub(crate) fn list() -> Result<()> {
    let toolchain = Toolchain::detect()?;
    for machine in all() {
        println!("{}, {}-bit addresses", machine.name, machine.address_bits);
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
    let needs = Needs {
        machines: all().collect(),
        targets: all().map(|machine| machine.target).collect(),
        ..Needs::default()
    };
    if let Some(instructions) = needs.instructions(&toolchain) {
        println!("{instructions}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_machine_is_answered_with_the_known_ones() {
        assert_eq!(find("x86_64").map(|machine| machine.name), Ok("x86_64"));
        let answer = find("vax").map(|_| ()).expect_err("there is none");
        assert!(answer.starts_with("the machines are: x86_64"), "{answer}");
    }

    #[test]
    fn a_name_stands_for_one_machine_and_all_for_all() {
        let names = |text: &str| -> Vec<_> {
            let machines: Machines = text.parse().expect("machines");
            machines.iter().map(|machine| machine.name).collect()
        };
        assert_eq!(names("x86_64"), ["x86_64"]);
        assert_eq!(names("all").len(), MACHINES.len());
    }

    #[test]
    fn nobody_chooses_the_memory_of_a_board() {
        for machine in MACHINES {
            let wanted = MemorySize::from_mib(7);
            let is_chosen = machine.memory(Some(wanted)) == wanted;
            let can_be_chosen = matches!(machine.memory, Memory::Chosen { .. });
            assert_eq!(is_chosen, can_be_chosen, "{}", machine.name);
            let command = process::describe(&machine.command(wanted));
            assert_eq!(command.contains("-m 7168K"), can_be_chosen, "{command}");
        }
    }
}
