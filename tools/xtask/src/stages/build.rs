//! Builds of the portable crates for targets of every shape: 64 and 32 bits, with an operating
//! system and without, with an MMU and without.

use super::step;
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

pub(super) const TARGETS: &[&str] = &[
    "x86_64-unknown-none",
    "i686-unknown-linux-gnu",
    "armv7a-none-eabi",
    "thumbv7m-none-eabi",
];

const PORTABLE: &[&str] = &[
    "archipelago",
    "archipelago-api",
    "archipelago-conformance",
    "archipelago-firmware",
];

/// The features that any kernel may turn on; the others are for tests on the host.
pub(super) const FEATURES: &str =
    "archipelago/allocator-api2,archipelago/heap-bits,archipelago/trusting";

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    for target in TARGETS {
        let mut build = toolchain.cargo_for("build", target);
        build
            .current_dir(project::root())
            .args(["--lib", "--features", FEATURES]);
        build.args(PORTABLE.iter().flat_map(|package| ["--package", package]));
        step(stage, target, &mut build);
    }
}
