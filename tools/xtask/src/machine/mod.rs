//! The machines that kernels boot on, as data.

#[cfg(test)]
mod checklist;
mod size;
#[path = "../../../../targets/machines.rs"]
mod table;

use core::str::FromStr;
use std::process::Command;

pub(crate) use size::MemorySize;
use table::MACHINES;
pub(crate) use table::{Loading, Machine, Memory, Package};

use crate::process;

/// All machines.
pub(crate) fn all() -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter()
}

/// The machine that commands boot where none is chosen: the first one.
pub(crate) const DEFAULT: Machines = Machines::One(&MACHINES[0]);

/// A choice of machines: one, or all of them.
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
            name => find(name)
                .map(Self::One)
                .map_err(|error| format!("{error}; `all` stands for all of them")),
        }
    }
}

/// The machine of that name.
///
/// # Errors
/// The names there are, if it is none of them.
pub(crate) fn find(name: &str) -> Result<&'static Machine, String> {
    all().find(|machine| machine.name == name).ok_or_else(|| {
        let names = names().join(", ");
        format!("the machines are: {names}")
    })
}

/// The names of all machines.
pub(crate) fn names() -> Vec<&'static str> {
    all().map(|machine| machine.name).collect()
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
    /// The arguments of cargo for the features that its kernels are built with.
    pub(crate) fn feature_arguments(&self) -> impl Iterator<Item = String> {
        let kind = if self.has_mmu { "mmu" } else { "no-mmu" };
        let features = [Some(kind), self.feature].into_iter().flatten();
        features.flat_map(|name| ["--features".to_owned(), format!("archipelago-qemu/{name}")])
    }

    /// The memory that the machine boots with where `wanted` is asked for.
    pub(crate) fn memory(&self, wanted: Option<MemorySize>) -> MemorySize {
        match self.memory {
            Memory::Chosen { default_mib } => wanted.unwrap_or(MemorySize::from_mib(default_mib)),
            Memory::Fixed { mib } => MemorySize::from_mib(mib),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_machine_is_refused_with_the_known_names() {
        assert_eq!(find("x86_64").map(|machine| machine.name), Ok("x86_64"));
        let result = find("vax").map(|_| ()).expect_err("there is none");
        assert!(result.starts_with("the machines are: x86_64"), "{result}");
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
    fn the_memory_of_a_board_cannot_be_chosen() {
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
