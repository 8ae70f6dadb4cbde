//! Formatting and clippy, of the workspace, of the kernels and of the examples.

use super::{small, step};
use crate::kernels::{self, Bitmap, EXAMPLES, KERNELS, REPLAY, benches_on, choose_benches};
use crate::machine;
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    let root = project::root();
    let kernels = project::kernels_manifest();
    let examples = project::examples_manifest();

    let mut format = toolchain.cargo("fmt");
    step(
        stage,
        "format, workspace",
        format.current_dir(root).args(["--all", "--check"]),
    );
    let [size, links] = project::SMALL.map(|name| root.join(name).join("Cargo.toml"));
    for (name, package) in [
        ("kernels", &kernels),
        ("examples", &examples),
        ("size", &size),
        ("links", &links),
    ] {
        let mut format = toolchain.cargo("fmt");
        format
            .current_dir(root)
            .arg("--check")
            .arg("--manifest-path")
            .arg(package);
        step(stage, &format!("format, {name}"), &mut format);
    }

    let mut clippy = toolchain.cargo("clippy");
    clippy
        .current_dir(root)
        .args(["--workspace", "--all-targets", "--all-features"]);
    step(
        stage,
        "clippy, workspace",
        clippy.args(["--", "-D", "warnings"]),
    );
    for (name, target) in project::SMALL.into_iter().zip(small::LINTED) {
        let mut clippy = toolchain.cargo_for("clippy", target);
        clippy
            .current_dir(root.join(name))
            .args(["--profile", "size", "--bins", "--target-dir"])
            .arg(project::target_of(name))
            .args(["--", "-D", "warnings"]);
        step(stage, &format!("clippy, {name}"), &mut clippy);
    }
    for machine in machine::all().filter(|machine| machine.feature.is_none()) {
        let mut clippy = toolchain.cargo_for("clippy", machine.target);
        clippy
            .current_dir(root)
            .args(["--package", machine.package_name, "--", "-D", "warnings"]);
        let name = format!("clippy, {} for its target", machine.package_name);
        step(stage, &name, &mut clippy);
    }
    for machine in machine::all() {
        let mut measuring = benches_on(machine);
        measuring.push(REPLAY);
        let of = |all| kernels::FEATURES.map(|feature| kernels::choose(all, machine, feature));
        let ([plain, scannable], [shown, shown_scannable]) = (of(KERNELS), of(EXAMPLES));
        let selections = [
            ("kernels", &kernels, plain),
            ("kernels with scannable objects", &kernels, scannable),
            (
                "kernels that measure",
                &kernels,
                choose_benches(Bitmap::Sparse, &measuring),
            ),
            ("examples", &examples, shown),
            (
                "examples with scannable objects",
                &examples,
                shown_scannable,
            ),
        ];
        for (name, package, which) in selections {
            if which.is_empty() {
                continue;
            }
            let mut clippy = toolchain.cargo_for("clippy", machine.target);
            clippy.current_dir(root).arg("--manifest-path").arg(package);
            clippy.arg("--target-dir").arg(project::target_of("qemu"));
            let name = format!("clippy, {name} for {}", machine.name);
            clippy
                .args(which)
                .args(machine.feature_arguments())
                .args(["--", "-D", "warnings"]);
            step(stage, &name, &mut clippy);
        }
    }
}
