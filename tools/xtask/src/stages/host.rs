//! The tests that run on the host.

use std::process::Command;

use super::{cargo_test, step_with};
use crate::figures::Figures;
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
    "-p",
    "archipelago-host",
    "-F",
    "archipelago/heap-bits,archipelago-bench/heap-bits,archipelago-host/heap-bits",
];

/// The tests of frees that a heap with the feature `trusting` does not check, and of the others
/// beside them: those that find mistakes, those of the spans of CPUs, and of the front that most
/// programs use.
const TRUSTING: &[&str] = &[
    "-p",
    "archipelago",
    "-F",
    "archipelago/trusting",
    "--lib",
    "--test",
    "misuse",
    "--test",
    "global_alloc",
    "--test",
    "heap",
    "--",
    "owned::tests",
    "mistake",
    "trusting",
    "cpus::",
    "vector",
    "collections_live",
];
/// Some of them: more are there.
const TRUSTING_TESTS: usize = 150;

/// The figures that a heap without the bitmap has, but for those that the level of optimisation
/// changes.
const WITHOUT_BITMAP: &[&str] = &["fill", "strides"];

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, measured: &mut Figures) {
    // The derived maps are for heaps with a bitmap alone.
    let without = ["--workspace", "--exclude", "archipelago-derive"];
    for (name, packages, figures) in [
        ("cargo test", without.as_slice(), WITHOUT_BITMAP),
        ("cargo test, heap bitmap", WITH_BITMAP, &["bitmap"]),
    ] {
        let mut command = toolchain.cargo("test");
        command
            .current_dir(project::root())
            .arg("--no-fail-fast")
            .args(packages);
        cargo_test::follow(1, stage, name, &mut command);
        measure(stage, figures, measured);
    }
    let mut command = toolchain.cargo("test");
    command
        .current_dir(project::root())
        .arg("--no-fail-fast")
        .args(TRUSTING);
    let name = "cargo test, frees that are trusted";
    cargo_test::follow(TRUSTING_TESTS, stage, name, &mut command);
}

/// Runs the program that prints figures, which the tests have built on the way.
fn measure(stage: &mut Stage, parts: &[&str], measured: &mut Figures) {
    let mut command = Command::new(project::target().join("debug/figures"));
    let name = format!("figures: {}", parts.join(", "));
    step_with(stage, &name, command.args(parts), |line| {
        measured.read(line);
    });
}
