//! Formatting and clippy, of the workspace on the host and of that for bare targets.

use super::{firmware, step};
use crate::kernels::{self, Bitmap, REPLAY, SCANNABLE_OBJECTS, benches_on, choose_benches};
use crate::machine::{self, Machine};
use crate::project;
use crate::report::Stage;
use crate::toolchain::Toolchain;

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    format(stage, toolchain);
    let mut clippy = toolchain.cargo("clippy");
    clippy
        .current_dir(project::root())
        .args(["--workspace", "--all-targets", "--all-features"])
        .args(["--", "-D", "warnings"]);
    step(stage, "clippy, workspace", &mut clippy);
    lint_peers(stage, toolchain);
    for (name, target) in project::FIRMWARE.into_iter().zip(firmware::LINTED) {
        let mut clippy = toolchain.cargo_for("clippy", target);
        clippy
            .current_dir(project::root().join(name))
            .args(["--profile", "size", "--bins", "--target-dir"])
            .arg(firmware::target_of(name))
            .args(["--", "-D", "warnings"]);
        step(stage, &format!("clippy, {name}"), &mut clippy);
    }
    for (machine, target) in linted() {
        if machine.feature.is_none() {
            lint_crate(stage, toolchain, machine);
        }
        lint_kernels(stage, toolchain, machine, target);
    }
}

fn format(stage: &mut Stage, toolchain: &Toolchain) {
    let workspaces = [
        ("workspace", project::root().join("Cargo.toml"), vec![]),
        (
            "bare-metal packages",
            project::kernels_manifest(),
            project::BARE_PACKAGES
                .iter()
                .flat_map(|name| ["--package", name])
                .collect(),
        ),
        (
            project::PEERS,
            project::root().join(project::PEERS).join("Cargo.toml"),
            vec![],
        ),
    ];
    for (name, manifest, packages) in workspaces {
        let mut format = toolchain.cargo("fmt");
        format.current_dir(project::root()).arg("--manifest-path");
        format.arg(manifest).args(packages).arg("--check");
        step(stage, &format!("format, {name}"), &mut format);
    }
}

/// Lints the program with other heaps, without those that need a C or a C++ compiler: they are
/// statics of a few words.
fn lint_peers(stage: &mut Stage, toolchain: &Toolchain) {
    let mut clippy = toolchain.cargo("clippy");
    clippy
        .current_dir(project::root().join(project::PEERS))
        .args(["--no-default-features", "--locked", "--target-dir"])
        .arg(project::target_of("peers"))
        .args(["--", "-D", "warnings"]);
    step(stage, &format!("clippy, {}", project::PEERS), &mut clippy);
}

/// The machines whose code differs, each with the target that it is linted for.
///
/// The byte order changes no code, so machines of one crate are linted for the target of the first
/// of them: the libraries of a target without built ones are then compiled once.
fn linted() -> Vec<(&'static Machine, &'static str)> {
    let mut chosen: Vec<(&Machine, &str)> = Vec::new();
    for machine in machine::all() {
        let same_crate = |one: &&(&Machine, &str)| one.0.package_name == machine.package_name;
        let target = chosen
            .iter()
            .find(same_crate)
            .map_or(machine.target, |(_, target)| target);
        let is_known = chosen
            .iter()
            .filter(same_crate)
            .any(|(one, _)| one.feature == machine.feature);
        if !is_known {
            chosen.push((machine, target));
        }
    }
    chosen
}

/// Lints the crate that knows a machine, on its target: most of its code is for no other.
fn lint_crate(stage: &mut Stage, toolchain: &Toolchain, machine: &Machine) {
    let mut clippy = toolchain.cargo_for("clippy", machine.target);
    clippy
        .current_dir(project::root())
        // As the kernels' workspace has them, so that both share the target's libraries.
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .args(["--package", machine.package_name, "--target-dir"])
        .arg(project::bare_target())
        .args(["--", "-D", "warnings"]);
    let name = format!("clippy, {} for its target", machine.package_name);
    step(stage, &name, &mut clippy);
}

/// Lints the kernels of a machine, those that measure among those with scannable objects.
fn lint_kernels(stage: &mut Stage, toolchain: &Toolchain, machine: &Machine, target: &str) {
    for feature in kernels::FEATURES {
        let mut which = kernels::choose(machine, feature);
        if feature == Some(SCANNABLE_OBJECTS) {
            let mut measuring = benches_on(machine);
            measuring.push(REPLAY);
            which.extend(choose_benches(Bitmap::Sparse, &measuring));
        }
        if which.is_empty() {
            continue;
        }
        let mut clippy = toolchain.cargo_for("clippy", target);
        clippy
            .current_dir(project::root())
            .arg("--manifest-path")
            .arg(project::kernels_manifest())
            .arg("--target-dir")
            .arg(project::bare_target())
            .args(which)
            .args(machine.feature_arguments())
            .args(["--", "-D", "warnings"]);
        let with = feature.map_or_else(String::new, |feature| format!(" with {feature}"));
        let name = format!("clippy, kernels{with} for {}", machine.name);
        step(stage, &name, &mut clippy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_is_linted_under_its_own_name_or_anothers() {
        let linted = linted();
        for machine in machine::all() {
            let mut same = linted.iter().filter(|(one, _)| {
                (one.package_name, one.feature) == (machine.package_name, machine.feature)
            });
            assert_eq!(same.by_ref().count(), 1, "{}", machine.name);
        }
        let targets = |package: &str| {
            let of = linted.iter().filter(|(one, _)| one.package_name == package);
            of.map(|(_, target)| *target).collect::<Vec<_>>()
        };
        assert_eq!(targets("archipelago-mips"), ["mipsel-unknown-none"; 2]);
    }
}
