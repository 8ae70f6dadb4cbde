//! The machines that kernels boot on, as data.

use core::fmt;
use core::str::FromStr;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::setup::{Needs, Package};
use crate::toolchain::Toolchain;

/// A machine: what emulates it, what its kernels are built for, how it starts.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    /// Bits of an address.
    pub(crate) address_bits: u32,
    /// Whether its kernels are there. Commands know no others.
    pub(crate) is_ready: bool,
    pub(crate) has_mmu: bool,
    /// The QEMU program.
    pub(crate) qemu: &'static str,
    /// What to install for it.
    pub(crate) package: Package,
    /// The kernels' Rust target.
    pub(crate) target: &'static str,
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

/// Arguments of every machine.
const COMMON: [&str; 8] = [
    "-accel",
    "tcg",
    "-nodefaults",
    "-display",
    "none",
    "-serial",
    "stdio",
    "-no-reboot",
];

const MIPS: Machine = Machine {
    name: "",
    address_bits: 31,
    is_ready: true,
    has_mmu: true,
    qemu: "",
    package: Package {
        debian: "qemu-system-mips",
        fedora: "qemu-system-mips-core",
        arch: "qemu-system-mips",
        homebrew: Some("qemu"),
    },
    target: "",
    feature: None,
    kernels: &[],
    arguments: &[
        "-M",
        "malta",
        "-cpu",
        "24Kf",
        "-semihosting-config",
        "enable=on,target=native",
    ],
    memory: Memory::Chosen {
        default: MemorySize::from_mib(128),
    },
    loading: Loading::Block { address: 0x60_0000 },
    // The counter goes up every 6 nanoseconds.
    icount_shift: 3,
};

const MACHINES: &[Machine] = &[
    Machine {
        name: "x86_64",
        address_bits: 48,
        is_ready: true,
        has_mmu: true,
        qemu: "qemu-system-x86_64",
        package: Package {
            debian: "qemu-system-x86",
            fedora: "qemu-system-x86-core",
            arch: "qemu-system-x86",
            homebrew: Some("qemu"),
        },
        target: "x86_64-unknown-none",
        feature: None,
        kernels: &[],
        arguments: &[
            "-M",
            "pc",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=0x04",
        ],
        memory: Memory::Chosen {
            default: MemorySize::from_mib(256),
        },
        loading: Loading::Pvh,
        icount_shift: 0,
    },
    Machine {
        name: "arm",
        address_bits: 32,
        is_ready: true,
        has_mmu: true,
        qemu: "qemu-system-arm",
        package: ARM_PACKAGE,
        target: "armv7a-none-eabi",
        feature: None,
        kernels: &[],
        arguments: &[
            "-M",
            "virt",
            "-cpu",
            "cortex-a15",
            "-semihosting-config",
            "enable=on,target=native",
        ],
        memory: Memory::Chosen {
            default: MemorySize::from_mib(256),
        },
        loading: Loading::Block {
            address: 0x4060_0000,
        },
        icount_shift: 0,
    },
    Machine {
        name: "mipsel",
        qemu: "qemu-system-mipsel",
        target: "mipsel-unknown-none",
        ..MIPS
    },
    Machine {
        name: "mips",
        qemu: "qemu-system-mips",
        target: "mips-mti-none-elf",
        ..MIPS
    },
    // The heap in the mapped part of the kernel's half, up to 2^32.
    Machine {
        name: "mips-kseg2",
        address_bits: 30,
        qemu: "qemu-system-mips",
        target: "mips-mti-none-elf",
        feature: Some("kseg2"),
        kernels: &[
            "faults",
            "heap",
            "growth",
            "conformance",
            "lookups",
            "tops",
            "translations",
        ],
        ..MIPS
    },
    Machine {
        name: "cortex-m",
        address_bits: 32,
        is_ready: true,
        has_mmu: false,
        qemu: "qemu-system-arm",
        package: ARM_PACKAGE,
        target: "thumbv7m-none-eabi",
        feature: None,
        kernels: &[],
        arguments: &[
            "-M",
            "mps2-an385",
            "-semihosting-config",
            "enable=on,target=native",
        ],
        // Three banks.
        memory: Memory::Fixed(MemorySize::from_mib(24)),
        loading: Loading::Block {
            address: 0x2100_0000,
        },
        // The counter goes up every 40 nanoseconds.
        icount_shift: 5,
    },
];

const ARM_PACKAGE: Package = Package {
    debian: "qemu-system-arm",
    fedora: "qemu-system-arm-core",
    arch: "qemu-system-arm",
    homebrew: Some("qemu"),
};

/// The machines whose kernels are there.
pub(crate) fn all() -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter().filter(|machine| machine.is_ready)
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

impl Machine {
    /// The arguments of cargo for the feature that its kernels are built with.
    pub(crate) fn feature_arguments(&self) -> impl Iterator<Item = &'static str> {
        self.feature
            .into_iter()
            .flat_map(|name| ["--features", name])
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
        let answer = find("vax").map(|_| ()).expect_err("there is none");
        assert!(answer.starts_with("the machines are: x86_64"), "{answer}");
    }

    #[test]
    fn all_machines_are_those_whose_kernels_are_there() {
        let names = |text: &str| -> Vec<_> {
            let machines: Machines = text.parse().expect("machines");
            machines.iter().map(|machine| machine.name).collect()
        };
        assert_eq!(names("x86_64"), ["x86_64"]);
        assert_eq!(names("all").len(), all().count());
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
