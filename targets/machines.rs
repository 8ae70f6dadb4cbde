//! The machines that kernels boot on, and everything that building and booting needs to know of
//! them. The kernels' build script and the project's commands include this file.

/// A machine: the code that knows it, its target, and how QEMU emulates it.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The name on the command lines of `cargo xtask`.
    pub(crate) name: &'static str,
    /// The module of the kernels' library, a folder in `qemu/src`; the kernels see it as
    /// `cfg(machine = "…")`.
    pub(crate) code: &'static str,
    /// The crate in `arch` that knows the machine and has code for no other target.
    pub(crate) package_name: &'static str,
    /// The feature that the kernels are built with, if the machine is another's with one.
    pub(crate) feature: Option<&'static str>,
    /// The Rust target of the kernels.
    pub(crate) target: &'static str,
    /// Whether rustup has the target's libraries built. Else they are built from source.
    pub(crate) is_prebuilt: bool,
    /// The linker script, in `targets`.
    pub(crate) script: &'static str,
    /// Arguments of the linker besides the script.
    pub(crate) link_arguments: &'static [&'static str],
    /// Whether there is an MMU; the kernels see it as `cfg(mmu)`.
    pub(crate) has_mmu: bool,
    /// Bits of an address.
    pub(crate) address_bits: u32,
    /// The most CPUs that kernels start; where there are several, they see it as `cfg(smp)`.
    pub(crate) most_cpus: u32,
    /// The kernels that boot on the machine, of those for machines of its kind; empty for all.
    pub(crate) kernels: &'static [&'static str],
    /// The QEMU program.
    pub(crate) qemu: &'static str,
    /// The package to install for it.
    pub(crate) package: Package,
    /// QEMU's name of the board and, where it can be chosen, of the processor.
    pub(crate) board: &'static str,
    /// QEMU's arguments, without those for memory, kernel and module. They name everything that
    /// depends on QEMU's version or the host otherwise: the board, the processor, the devices.
    pub(crate) arguments: &'static [&'static str],
    /// How much memory the machine boots with.
    pub(crate) memory: Memory,
    /// How a command line and a module reach a kernel.
    pub(crate) loading: Loading,
    /// log2 of the nanoseconds of virtual time that an instruction takes where instructions are
    /// counted: large enough for the machine's counter to tell instructions apart.
    pub(crate) icount_shift: u32,
}

/// How much memory a machine boots with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// As much as QEMU is told, in MiB; this much unless the user says otherwise.
    Chosen { default_mib: u64 },
    /// The memory of the board, in MiB.
    Fixed { mib: u64 },
}

/// How a command line and a module reach a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loading {
    /// QEMU passes them to the kernel.
    Pvh,
    /// In a boot block, which QEMU writes to this physical address and the kernel reads there.
    Block { address: u64 },
}

/// The name of a package in the collections of several systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) debian: &'static str,
    pub(crate) fedora: &'static str,
    pub(crate) arch: &'static str,
    /// `None` for what macOS does not have.
    pub(crate) homebrew: Option<&'static str>,
}

/// All machines.
pub(crate) const MACHINES: &[Machine] = &[
    Machine {
        name: "x86_64",
        code: "x86_64",
        package_name: "archipelago-x86_64",
        feature: None,
        target: "x86_64-unknown-none",
        is_prebuilt: true,
        script: "x86_64-unknown-none.ld",
        // The target links position-independent executables, which cannot hold the 32-bit
        // relocations of the entry code. The last such option wins.
        link_arguments: &["--no-pie"],
        has_mmu: true,
        address_bits: 48,
        most_cpus: 8,
        kernels: &[],
        qemu: "qemu-system-x86_64",
        package: Package {
            debian: "qemu-system-x86",
            fedora: "qemu-system-x86-core",
            arch: "qemu-system-x86",
            homebrew: Some("qemu"),
        },
        board: "pc",
        arguments: &[
            "-M",
            "pc",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=0x04",
        ],
        memory: Memory::Chosen { default_mib: 256 },
        loading: Loading::Pvh,
        icount_shift: 0,
    },
    Machine {
        name: "arm",
        code: "arm",
        package_name: "archipelago-arm",
        feature: None,
        target: "armv7a-none-eabi",
        is_prebuilt: true,
        script: "armv7a-none-eabi.ld",
        link_arguments: &[],
        has_mmu: true,
        address_bits: 32,
        most_cpus: 8,
        kernels: &[],
        qemu: "qemu-system-arm",
        package: QEMU_FOR_ARM,
        board: "virt, Cortex-A15",
        arguments: &[
            "-M",
            "virt",
            "-cpu",
            "cortex-a15",
            "-semihosting-config",
            "enable=on,target=native",
        ],
        memory: Memory::Chosen { default_mib: 256 },
        loading: Loading::Block {
            address: 0x4060_0000,
        },
        icount_shift: 0,
    },
    Machine {
        name: "mipsel",
        target: "mipsel-unknown-none",
        qemu: "qemu-system-mipsel",
        ..MALTA
    },
    Machine {
        name: "mips",
        target: "mips-mti-none-elf",
        qemu: "qemu-system-mips",
        ..MALTA
    },
    // The heap lies in kseg2 and kseg3, up to 2^32, instead of kuseg.
    Machine {
        name: "mips-kseg2",
        feature: Some("kseg2"),
        target: "mips-mti-none-elf",
        address_bits: 30,
        kernels: &[
            "faults",
            "heap",
            "growth",
            "conformance",
            "lookups",
            "scannable",
            "address_ends",
            "translations",
        ],
        qemu: "qemu-system-mips",
        ..MALTA
    },
    Machine {
        name: "cortex-m",
        code: "cortex_m",
        package_name: "archipelago-cortex-m",
        feature: None,
        target: "thumbv7m-none-eabi",
        is_prebuilt: true,
        script: "thumbv7m-none-eabi.ld",
        link_arguments: &[],
        has_mmu: false,
        address_bits: 32,
        most_cpus: 1,
        kernels: &[],
        qemu: "qemu-system-arm",
        package: QEMU_FOR_ARM,
        board: "mps2-an385, Cortex-M3",
        arguments: &[
            "-M",
            "mps2-an385",
            "-semihosting-config",
            "enable=on,target=native",
        ],
        // Three banks.
        memory: Memory::Fixed { mib: 24 },
        loading: Loading::Block {
            address: 0x2100_0000,
        },
        // The counter goes up every 40 nanoseconds.
        icount_shift: 5,
    },
];

/// QEMU's MIPS board, in either byte order.
const MALTA: Machine = Machine {
    name: "",
    code: "mips",
    package_name: "archipelago-mips",
    feature: None,
    target: "",
    is_prebuilt: false,
    script: "mips.ld",
    link_arguments: &[],
    has_mmu: true,
    address_bits: 31,
    most_cpus: 1,
    kernels: &[],
    qemu: "",
    package: Package {
        debian: "qemu-system-mips",
        fedora: "qemu-system-mips-core",
        arch: "qemu-system-mips",
        homebrew: Some("qemu"),
    },
    board: "malta, 24Kf",
    arguments: &[
        "-M",
        "malta",
        "-cpu",
        "24Kf",
        "-semihosting-config",
        "enable=on,target=native",
    ],
    memory: Memory::Chosen { default_mib: 128 },
    loading: Loading::Block { address: 0x60_0000 },
    // The counter goes up every 6 nanoseconds.
    icount_shift: 3,
};

const QEMU_FOR_ARM: Package = Package {
    debian: "qemu-system-arm",
    fedora: "qemu-system-arm-core",
    arch: "qemu-system-arm",
    homebrew: Some("qemu"),
};
