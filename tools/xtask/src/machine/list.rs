//! The machines.

use super::{Loading, Machine, Memory, MemorySize};
use crate::setup::Package;

pub(super) const MACHINES: &[Machine] = &[
    Machine {
        name: "x86_64",
        address_bits: 48,
        has_mmu: true,
        qemu: "qemu-system-x86_64",
        package: Package {
            debian: "qemu-system-x86",
            fedora: "qemu-system-x86-core",
            arch: "qemu-system-x86",
            homebrew: Some("qemu"),
        },
        target: "x86_64-unknown-none",
        package_name: "archipelago-x86_64",
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
        has_mmu: true,
        qemu: "qemu-system-arm",
        package: ARM_PACKAGE,
        target: "armv7a-none-eabi",
        package_name: "archipelago-arm",
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
            "scannable",
            "tops",
            "translations",
        ],
        ..MIPS
    },
    Machine {
        name: "cortex-m",
        address_bits: 32,
        has_mmu: false,
        qemu: "qemu-system-arm",
        package: ARM_PACKAGE,
        target: "thumbv7m-none-eabi",
        package_name: "archipelago-cortex-m",
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

/// What both byte orders have in common.
const MIPS: Machine = Machine {
    name: "",
    address_bits: 31,
    has_mmu: true,
    qemu: "",
    package: Package {
        debian: "qemu-system-mips",
        fedora: "qemu-system-mips-core",
        arch: "qemu-system-mips",
        homebrew: Some("qemu"),
    },
    target: "",
    package_name: "archipelago-mips",
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

const ARM_PACKAGE: Package = Package {
    debian: "qemu-system-arm",
    fedora: "qemu-system-arm-core",
    arch: "qemu-system-arm",
    homebrew: Some("qemu"),
};
