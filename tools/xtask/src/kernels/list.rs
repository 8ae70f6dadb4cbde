//! The kernels.

use core::time::Duration;

use super::{Expected, Kernel, On, REPLAY};

/// A kernel with nothing special about it.
const PASSES: Kernel = Kernel {
    name: "",
    package: TESTS,
    expected: Expected::Pass,
    on: On::Mmu,
    feature: None,
    memory_mib: &[128],
    cpus: 1,
    command_line: "",
    module: None,
    counted: false,
    limit: Duration::from_secs(120),
};

/// The kernels in `qemu/src/bin`, but for those that measure.
pub(crate) const KERNELS: &[Kernel] = &[
    // With 4 GiB, part of the memory lies beyond the physmap.
    Kernel {
        name: "smoke",
        on: On::All,
        memory_mib: &[128, 4096],
        ..PASSES
    },
    Kernel {
        name: "frames",
        memory_mib: &[16, 256],
        ..PASSES
    },
    Kernel {
        name: "faults",
        ..PASSES
    },
    Kernel {
        name: "modules",
        memory_mib: &[64, 256],
        module: Some("tools/traces/recorded/git.trace.gz"),
        ..PASSES
    },
    Kernel {
        name: "heap",
        memory_mib: &[32, 256],
        ..PASSES
    },
    Kernel {
        name: "growth",
        // The second one holds more than two arenas.
        memory_mib: &[16, 160],
        ..PASSES
    },
    replay_of("tools/traces/recorded/git.trace.gz"),
    replay_of("tools/traces/recorded/jq.trace.gz"),
    replay_of("tools/traces/recorded/rustc.trace.gz"),
    replay_of("tools/traces/recorded/sqlite.trace.gz"),
    // In 4 MiB, with all that it is replayed with.
    Kernel {
        on: On::Code("cortex_m"),
        command_line: "one-bank",
        ..replay_of("tools/traces/recorded/sqlite.trace.gz")
    },
    // It does not fit every machine, and says so.
    Kernel {
        on: On::Code("cortex_m"),
        ..replay_of("tools/traces/recorded/git.trace.gz")
    },
    Kernel {
        name: "flat",
        on: On::Code("cortex_m"),
        counted: true,
        ..PASSES
    },
    Kernel {
        name: "conformance",
        ..PASSES
    },
    Kernel {
        name: "lookups",
        memory_mib: &[64],
        ..PASSES
    },
    Kernel {
        name: "address_ends",
        memory_mib: &[32],
        ..PASSES
    },
    Kernel {
        name: "interrupts",
        memory_mib: &[64],
        counted: true,
        ..PASSES
    },
    Kernel {
        name: "interrupt_storm",
        on: On::All,
        memory_mib: &[64],
        module: Some("tools/traces/recorded/sqlite.trace.gz"),
        counted: true,
        ..PASSES
    },
    Kernel {
        name: "scannable",
        memory_mib: &[32],
        ..SCANNABLE
    },
    Kernel {
        name: "scannable_storm",
        memory_mib: &[32],
        counted: true,
        ..SCANNABLE
    },
    // Each way of walking finds the word that differs from the record.
    shifted("way=words", "word 1 of "),
    shifted("way=strides", "word 6 of "),
    shifted("way=objects", "word 2 of "),
    shifted("way=heap", "word 2 of "),
    Kernel {
        name: TRANSLATIONS,
        memory_mib: &[64],
        ..PASSES
    },
    // The same tests have to fail one by one where the TLB is left alone.
    careless("careless=decommit"),
    careless("careless=many"),
    careless("careless=fault"),
    careless("careless=release"),
    careless("careless=recommit"),
    // A TLB that remembers that there was nothing.
    Kernel {
        on: On::Code("mips"),
        expected: Expected::Failure("the page is Ready: Fault { cause: Cause(3)"),
        ..careless("careless=touched")
    },
    Kernel {
        command_line: "cpus=4",
        expected: Expected::Pass,
        ..on_four_cpus("")
    },
    // The tests have to fail where the maintenance of other CPUs' TLBs is left out.
    on_four_cpus("cpus=4 careless=gone"),
    Kernel {
        expected: Expected::Failure("pages are still translated to former frames"),
        ..on_four_cpus("cpus=4 careless=elsewhere")
    },
    // A CPU that hangs, which the report names with what it did last.
    Kernel {
        expected: Expected::Failure("CPU 3 freed 7777 bytes"),
        ..on_four_cpus("cpus=4 hang")
    },
    Kernel {
        name: STACK,
        memory_mib: &[64],
        ..PASSES
    },
    Kernel {
        name: STACK,
        expected: Expected::Failure(" bytes of stack, more than "),
        memory_mib: &[64],
        command_line: "wasteful=init",
        ..PASSES
    },
    Kernel {
        name: "too_little_memory",
        memory_mib: &[16, 2],
        ..PASSES
    },
    // The heap's report where a trace does not fit.
    Kernel {
        expected: Expected::Failure("bytes aligned to 16: frames: "),
        memory_mib: &[8],
        ..replay_of("tools/traces/recorded/rustc.trace.gz")
    },
    failure(
        "case=double_free",
        On::All,
        Expected::Failure(" bytes, class "),
    ),
    failure(
        "case=foreign_free",
        On::All,
        Expected::Failure(": not an address of this heap; layout: 8 bytes aligned to 8"),
    ),
    failure(
        "case=interior_free",
        On::All,
        Expected::Failure(": not the start of an object; layout: 64 bytes aligned to 8"),
    ),
    failure(
        "case=wrong_layout",
        On::All,
        Expected::Failure(": not the layout it was allocated with; layout: 800 bytes aligned to 8"),
    ),
    failure(
        "case=decommitted",
        On::Mmu,
        Expected::Failure(", which is not mapped, at instruction "),
    ),
    failure(
        "case=assertion",
        On::All,
        Expected::Failure("assertion `left == right` failed"),
    ),
    failure(
        "case=page_fault",
        On::Mmu,
        Expected::Failure(", which is not mapped, at instruction "),
    ),
    // Each machine reports a stack overflow in its own words.
    failure(
        "case=stack_overflow",
        On::Code("x86_64"),
        Expected::Failure("double fault"),
    ),
    failure(
        "case=stack_overflow",
        On::Code("mips"),
        Expected::Failure("the stack is used up: TLB exception on a store"),
    ),
    // A page translation fault on a write.
    failure(
        "case=stack_overflow",
        On::Code("arm"),
        Expected::Failure("data abort (status 0x807) writing "),
    ),
    failure("case=triple_fault", On::Code("x86_64"), Expected::Reset),
    failure("case=short_plan", On::All, Expected::ShortPlan),
    Kernel {
        limit: Duration::from_secs(3),
        ..failure("case=hang", On::All, Expected::Hang)
    },
];

/// The package of the kernels in `qemu/src/bin`.
const TESTS: &str = "archipelago-qemu";

/// The package of the kernels in `examples`.
const SHOWN: &str = "archipelago-examples";

/// The feature of firmware that masks interrupts through the `critical-section` crate.
pub(super) const CRITICAL_SECTIONS: &str = "critical-section";

/// The feature of kernels with scannable objects.
pub(crate) const SCANNABLE_OBJECTS: &str = "scannable";

/// A kernel with scannable objects.
const SCANNABLE: Kernel = Kernel {
    on: On::All,
    feature: Some(SCANNABLE_OBJECTS),
    ..PASSES
};

/// The kernel whose boots must fail, each in a case of its own.
pub(super) const FAILURES: &str = "failures";

/// The kernel that measures the stack.
pub(crate) const STACK: &str = "stack";

/// The kernel that looks for stale translations.
const TRANSLATIONS: &str = "translations";

/// The kernel of several CPUs.
pub(crate) const SMP: &str = "smp";

/// The example of two CPUs.
const CPUS: &str = "cpus";

/// The kernels in `examples`.
pub(crate) const EXAMPLES: &[Kernel] = &[
    Kernel {
        name: "smallest",
        on: On::Mmu,
        ..EXAMPLE
    },
    Kernel {
        name: "graph",
        on: On::Mmu,
        feature: Some(SCANNABLE_OBJECTS),
        ..EXAMPLE
    },
    Kernel {
        name: "threads",
        on: On::Code("x86_64"),
        counted: true,
        ..EXAMPLE
    },
    Kernel {
        name: CPUS,
        on: On::Code("x86_64"),
        cpus: 2,
        ..EXAMPLE
    },
    // The tests have to fail where a CPU takes no part in the shoot-down, and where there is one.
    Kernel {
        name: CPUS,
        on: On::Code("x86_64"),
        cpus: 2,
        command_line: "careless",
        expected: Expected::Failure(" pages are still translated"),
        ..EXAMPLE
    },
    Kernel {
        name: CPUS,
        on: On::Code("x86_64"),
        command_line: "alone",
        expected: Expected::Failure("CPU 1 has not started"),
        ..EXAMPLE
    },
    Kernel {
        name: "firmware",
        on: On::Code("cortex_m"),
        feature: Some(CRITICAL_SECTIONS),
        ..EXAMPLE
    },
    Kernel {
        name: "firmware_one_line",
        on: On::Code("cortex_m"),
        feature: Some(CRITICAL_SECTIONS),
        ..EXAMPLE
    },
    Kernel {
        name: "tutorial_before",
        on: On::Code("x86_64"),
        ..EXAMPLE
    },
    Kernel {
        name: "tutorial_after",
        on: On::Code("x86_64"),
        ..EXAMPLE
    },
];

/// An example with nothing special about it.
const EXAMPLE: Kernel = Kernel {
    package: SHOWN,
    memory_mib: &[32],
    ..PASSES
};

/// A replay of a recorded trace, on machines of every size.
const fn replay_of(trace: &'static str) -> Kernel {
    Kernel {
        name: REPLAY,
        memory_mib: &[64, 128, 256],
        module: Some(trace),
        ..PASSES
    }
}

/// A machine without maintenance of the TLB, in the test that the words name.
const fn careless(command_line: &'static str) -> Kernel {
    Kernel {
        name: TRANSLATIONS,
        expected: Expected::Failure(" is still translated"),
        memory_mib: &[64],
        command_line,
        ..PASSES
    }
}

/// Four CPUs that use one heap all at once, and have to find stale translations.
const fn on_four_cpus(command_line: &'static str) -> Kernel {
    Kernel {
        name: SMP,
        on: On::Smp,
        cpus: 4,
        command_line,
        module: Some("tools/traces/recorded/sqlite.trace.gz"),
        expected: Expected::Failure(" pages are still translated"),
        ..PASSES
    }
}

/// A boot of the kernel that must fail, in the case that `command_line` chooses.
const fn failure(command_line: &'static str, on: On, expected: Expected) -> Kernel {
    Kernel {
        name: FAILURES,
        expected,
        on,
        command_line,
        ..PASSES
    }
}

/// A map that is shifted by one word, in the way of walking that the command line names. The report
/// has to contain `found`, which names the first wrong word.
const fn shifted(command_line: &'static str, found: &'static str) -> Kernel {
    Kernel {
        name: "scannable",
        expected: Expected::Failure(found),
        memory_mib: &[32],
        command_line,
        ..SCANNABLE
    }
}
