//! Firmware: what has to link on cores without compare-and-swap, and how large it may be.

use std::path::PathBuf;

use super::{explain, step};
use crate::figures::Figures;
use crate::process;
use crate::project;
use crate::report::Stage;
use crate::size;
use crate::toolchain::Toolchain;

/// Targets whose cores have loads and stores of a word, and nothing that does both at once.
pub(super) const TARGETS: &[&str] = &["thumbv6m-none-eabi", "riscv32imc-unknown-none-elf"];

/// The targets that the packages in [`project::FIRMWARE`] are linted for.
pub(super) const LINTED: [&str; 2] = [size::BOUNDED, "thumbv6m-none-eabi"];

/// Where one of those packages is built.
pub(super) fn target_of(package: &str) -> PathBuf {
    project::target_of(package.rsplit('/').next().unwrap_or(package))
}

/// The program whose heap has a bitmap.
const SCANNABLE: &str = "scannable";

/// The linker's error for the planted read-modify-write.
const MISSING: &str = "undefined symbol: __sync_fetch_and_add_4";

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, measured: &mut Figures) {
    for target in TARGETS {
        for program in ["whole", "firmware", SCANNABLE] {
            let mut link = link(toolchain, target, program);
            step(stage, &format!("link, {program} on {target}"), &mut link);
        }
        refuse(stage, toolchain, target);
    }
    check_size(stage, toolchain, measured);
}

fn link(toolchain: &Toolchain, target: &str, program: &str) -> std::process::Command {
    let mut link = toolchain.cargo_for("build", target);
    link.current_dir(project::root())
        .args([
            "--manifest-path",
            "tools/link-check/Cargo.toml",
            "--profile",
            "size",
        ])
        .args(["--bin", program, "--target-dir"])
        .arg(target_of("tools/link-check"));
    if program == SCANNABLE {
        link.args(["--features", "heap-bits"]);
    }
    link
}

/// Checks that a read-modify-write that no library has does not link: otherwise the links that
/// succeed would prove nothing.
fn refuse(stage: &mut Stage, toolchain: &Toolchain, target: &str) {
    let mut link = link(toolchain, target, "planted");
    let result = process::run(&mut link, None, |_| ());
    let refused = result.as_ref().is_ok_and(|finished| {
        !finished.ending.success() && finished.lines.iter().any(|line| line.contains(MISSING))
    });
    let verdict = if refused { "refused" } else { "FAILED" };
    println!("  link, planted on {target}: {verdict}");
    stage.count(refused.into(), (!refused).into());
    if !refused {
        explain(&link, &result);
    }
}

fn check_size(stage: &mut Stage, toolchain: &Toolchain, measured: &mut Figures) {
    let checked = size::check(toolchain);
    stage.count(checked.is_ok().into(), checked.is_err().into());
    match checked {
        Ok(sizes) => {
            println!("  size on {}: ok", size::BOUNDED);
            measured.extend(sizes);
        }
        Err(error) => println!("  size on {}: FAILED\n{error:#}", size::BOUNDED),
    }
}
