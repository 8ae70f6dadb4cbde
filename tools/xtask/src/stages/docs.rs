//! The documentation, of the workspace and of the kernels, with warnings denied.

use super::step;
use crate::machine::{self, Machine};
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    let mut doc = toolchain.cargo("doc");
    doc.current_dir(project::root())
        .args(["--workspace", "--no-deps", "--all-features"]);
    step(stage, "workspace", doc.env("RUSTDOCFLAGS", "-D warnings"));
    for (machine, target) in machines_with_docs() {
        let mut doc = toolchain.cargo_for("doc", target);
        doc.current_dir(project::root())
            .args(machine.feature_arguments())
            .args(["--no-deps", "--lib", "--manifest-path"]);
        doc.arg(project::kernels_manifest());
        doc.arg("--target-dir").arg(project::target_of("qemu"));
        let name = format!("kernels for {}", machine.name);
        step(stage, &name, doc.env("RUSTDOCFLAGS", "-D warnings"));
    }
}

/// The machines whose kernels' documentation differs, each with the target that it is made for.
///
/// The byte order changes no documentation, so machines of one crate share the target of the first
/// of them: the libraries of a target without built ones are then compiled once.
fn machines_with_docs() -> Vec<(&'static Machine, &'static str)> {
    let mut chosen: Vec<(&Machine, &str)> = Vec::new();
    for machine in machine::all() {
        let mut same_crate = chosen
            .iter()
            .filter(|(one, _)| one.package_name == machine.package_name)
            .peekable();
        let target = same_crate
            .peek()
            .map_or(machine.target, |(_, target)| target);
        if same_crate.all(|(one, _)| one.feature != machine.feature) {
            chosen.push((machine, target));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_and_feature_of_a_machine_is_documented_once() {
        let chosen = machines_with_docs();
        for machine in machine::all() {
            let same = chosen.iter().filter(|(one, _)| {
                (one.package_name, one.feature) == (machine.package_name, machine.feature)
            });
            assert_eq!(same.count(), 1, "{}", machine.name);
        }
    }
}
