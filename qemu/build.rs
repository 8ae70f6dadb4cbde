//! Tells the kernels which machine they are built for, and the linker which script to use, from the
//! table in `targets/machines.rs`.

#[path = "../targets/machines.rs"]
#[expect(dead_code, reason = "only the harness needs the other fields")]
mod machines;

use std::env;
use std::path::Path;

use machines::{Loading, MACHINES, Machine};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../targets/machines.rs");
    let target = variable("TARGET");
    let Some(machine) = MACHINES.iter().find(|machine| machine.target == target) else {
        panic!("the kernels boot on no machine of target {target}");
    };
    check_kind(machine);
    declare(machine);
    link(machine);
}

/// Checks that no kernels are built that need a machine of the other kind.
fn check_kind(machine: &Machine) {
    let other = if machine.has_mmu { "no-mmu" } else { "mmu" };
    let name = other.to_uppercase().replace('-', "_");
    assert!(
        env::var_os(format!("CARGO_FEATURE_{name}")).is_none(),
        "the feature `{other}` chooses kernels that do not run on {}",
        machine.name
    );
}

/// Declares the facts that the kernels need at compile time: the `cfg`s `machine`, `mmu`
/// and `smp`, and numbers on which the machine and the harness have to agree.
fn declare(machine: &Machine) {
    let names: Vec<_> = MACHINES
        .iter()
        .map(|one| format!("{:?}", one.code))
        .collect();
    println!(
        "cargo::rustc-check-cfg=cfg(machine, values({}))",
        names.join(", ")
    );
    println!("cargo::rustc-cfg=machine={:?}", machine.code);
    println!("cargo::rustc-check-cfg=cfg(mmu)");
    if machine.has_mmu {
        println!("cargo::rustc-cfg=mmu");
    }
    println!("cargo::rustc-check-cfg=cfg(smp)");
    if machine.most_cpus > 1 {
        println!("cargo::rustc-cfg=smp");
        println!("cargo::rustc-env=MACHINE_MOST_CPUS={}", machine.most_cpus);
    }
    println!(
        "cargo::rustc-env=MACHINE_ICOUNT_SHIFT={}",
        machine.icount_shift
    );
    if let Loading::Block { address } = machine.loading {
        println!("cargo::rustc-env=MACHINE_BOOT_BLOCK={address}");
    }
}

/// Passes the linker its script and arguments.
fn link(machine: &Machine) {
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../targets");
    let script = folder.join(machine.script);
    println!("cargo::rerun-if-changed={}", script.display());
    // The folder of files that the script includes.
    println!(
        "cargo::rustc-link-search={}",
        script.with_extension("").display()
    );
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    for argument in machine.link_arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
