//! Kernels under QEMU: while kernels boot, those of the next machine are built.

mod judged;
mod pool;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::step;
use crate::figures::Figures;
use crate::kernels::{self, Kernel};
use crate::machine::Machine;
use crate::project;
use crate::report::Stage;
use crate::run::{self, Profile};
use crate::toolchain::Toolchain;
use pool::{Job, Pool};

/// Builds and boots every kernel of `machines`, and adds the figures of those that passed.
pub(super) fn run(
    stage: &mut Stage,
    toolchain: &Toolchain,
    machines: impl Iterator<Item = &'static Machine>,
    measured: &mut Figures,
) {
    let judged = Pool::with(|pool| {
        for machine in machines {
            for feature in kernels::FEATURES {
                build_and_boot(stage, toolchain, machine, feature, pool);
            }
        }
    });
    for (one, figures) in judged {
        stage.count(one.passed, one.failed);
        measured.extend(figures);
    }
}

/// Builds the kernels of a machine that need `feature`, and has them booted.
fn build_and_boot(
    stage: &mut Stage,
    toolchain: &Toolchain,
    machine: &'static Machine,
    feature: Option<&'static str>,
    pool: &Pool,
) {
    let chosen = kernels::needing(machine, feature);
    if chosen.is_empty() {
        return;
    }
    let bins = kernels::choose(machine, feature);
    let mut build = run::build(toolchain, machine, Profile::Checked, &bins);
    let with = feature.map_or_else(String::new, |feature| format!(" with {feature}"));
    let name = format!("{}: build the kernels{with}", machine.name);
    if !step(stage, &name, &mut build) {
        return;
    }
    if let Err(error) = keep(machine, &chosen) {
        println!("  {name}: FAILED: {error:#}");
        return stage.count(0, 1);
    }
    for kernel in chosen {
        for memory in kernel.memory_sizes(machine) {
            pool.boot(Job {
                machine,
                kernel,
                file: kept(machine, kernel.name),
                memory,
            });
        }
    }
}

/// Copies the files that cargo made of the kernels: the build for the next machine of the same
/// target replaces cargo's files while kernels of this one boot.
fn keep(machine: &Machine, chosen: &[&Kernel]) -> Result<()> {
    for name in kernels::names(chosen) {
        let copy = kept(machine, name);
        let made = run::kernel_file(machine, Profile::Checked, name);
        copy.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::copy(made, &copy))
            .with_context(|| format!("cannot copy a kernel to {}", copy.display()))?;
    }
    Ok(())
}

/// The copy of a kernel that boots on a machine.
fn kept(machine: &Machine, kernel: &str) -> PathBuf {
    project::bare_target()
        .join("boots")
        .join(machine.name)
        .join(kernel)
}
