//! The tests that run on the host.

use super::cargo_test;
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

/// The packages whose tests have something to say of the heap bitmap, and the features that turn it
/// on. Other packages never see it, and dependencies are the ones that the first run has built.
const WITH_BITMAP: &[&str] = &[
    "-p",
    "archipelago",
    "-p",
    "archipelago-bench",
    "-p",
    "archipelago-derive",
    "-F",
    "archipelago/heap-bits,archipelago-bench/heap-bits",
];

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    // The derived maps are for heaps with a bitmap alone.
    let without = ["--workspace", "--exclude", "archipelago-derive"];
    for (name, packages) in [
        ("cargo test", without.as_slice()),
        ("cargo test, heap bitmap", WITH_BITMAP),
    ] {
        let mut command = toolchain.cargo("test");
        command
            .current_dir(project::root())
            .arg("--no-fail-fast")
            .args(packages);
        cargo_test::follow(1, stage, name, &mut command);
    }
}
