//! The documentation, of the workspace and of the kernels, with warnings denied.

use super::step;
use crate::machine;
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    let mut doc = toolchain.cargo("doc");
    doc.current_dir(project::root())
        .args(["--workspace", "--no-deps", "--all-features"]);
    step(stage, "workspace", doc.env("RUSTDOCFLAGS", "-D warnings"));
    for machine in machine::all() {
        let mut doc = toolchain.cargo_for("doc", machine.target);
        doc.current_dir(project::root())
            .args(machine.feature_arguments())
            .args(["--no-deps", "--lib", "--manifest-path"]);
        doc.arg(project::kernels_manifest());
        doc.arg("--target-dir").arg(project::target_of("qemu"));
        let name = format!("kernels for {}", machine.name);
        step(stage, &name, doc.env("RUSTDOCFLAGS", "-D warnings"));
    }
}
