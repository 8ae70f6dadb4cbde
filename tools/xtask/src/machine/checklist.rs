//! The checklist for a new machine, in CONTRIBUTING.md: every machine keeps it, and it names every
//! file that lists the machines.

use std::fs;
use std::path::Path;

use super::{Machine, all};
use crate::project;

/// The heading of the checklist.
const HEADING: &str = "## Adding a machine";

/// Files that name several machines as examples, and need no new machine.
const EXAMPLES: &[&str] = &[
    // The history of the crates.
    "CHANGELOG.md",
    // Targets of every shape.
    "tools/xtask/src/stages/build.rs",
    // Targets for which sizes are compared.
    "tools/xtask/src/size/mod.rs",
    // Choices that an error names.
    "tools/xtask/src/choices.rs",
    // Users with an MMU and without one.
    "tools/xtask/src/stages/packages/users.rs",
    // Planted lists.
    "tools/xtask/src/machine/checklist.rs",
    // A test of instructions.
    "tools/xtask/src/setup.rs",
];

/// The checklist's text.
fn checklist() -> String {
    let text = read("CONTRIBUTING.md");
    let (_, text) = text.split_once(HEADING).expect("the checklist");
    let end = text.find("\n## ").unwrap_or(text.len());
    text[..end].to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(project::root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The crate's folder, in `arch`.
fn folder(machine: &Machine) -> String {
    machine.package_name.replace("archipelago-", "arch/")
}

/// The places that the checklist sends to: a file, and the words in it that a machine needs.
fn places(machine: &Machine) -> Vec<(&'static str, String)> {
    let package = machine.package_name.to_owned();
    let mut places = vec![
        ("Cargo.toml", format!("\"{}\"", folder(machine))),
        ("targets/machines.rs", format!("name: {:?}", machine.name)),
        ("targets/README.md", format!("`{}`", machine.script)),
        ("qemu/Cargo.toml", package.clone()),
        ("qemu/src/lib.rs", format!("{:?}", machine.code)),
        ("README.md", format!("`{}`", machine.name)),
        ("ARCHITECTURE.md", folder(machine)),
        ("tests/tidy/src/unsafe_ledger.rs", folder(machine)),
    ];
    if machine.most_cpus > 1 {
        let chosen = format!("machine = {:?}", machine.code);
        places.push(("qemu/src/bin/smp/tlb/mod.rs", chosen));
    }
    if machine.has_mmu {
        let shown = format!("machine = {:?}", machine.code);
        places.extend([
            ("examples/Cargo.toml", package.clone()),
            ("examples/smallest/main.rs", shown),
            (
                "tools/xtask/src/kernels/list.rs",
                format!("On::Code({:?})", machine.code),
            ),
            // Miri does not run the crates of machines with page tables.
            ("tools/xtask/src/miri.rs", package),
        ]);
    }
    places
}

#[test]
fn every_machine_is_in_every_place_of_the_checklist() {
    let checklist = checklist();
    for machine in all() {
        for (file, words) in places(machine) {
            assert!(checklist.contains(file), "the checklist leaves out {file}");
            assert!(
                read(file).contains(&words),
                "{}: no {words} in {file}",
                machine.name
            );
        }
        let folder = project::root().join("qemu/src").join(machine.code);
        assert!(folder.join("mod.rs").is_file(), "{}", folder.display());
        let script = project::root().join("targets").join(machine.script);
        assert!(script.is_file(), "{}", script.display());
    }
}

/// The machines that a text names by their crates, by their targets, or by the `cfg` of kernels:
/// the code of each, once.
fn machines_in(text: &str) -> Vec<&'static str> {
    let is_named = |machine: &&Machine| {
        let package = machine.package_name;
        let names = [
            package,
            &package.replace('-', "_"),
            &folder(machine),
            machine.target,
            &format!("machine = {:?}", machine.code),
        ];
        names.iter().any(|name| text.contains(name))
    };
    let mut codes: Vec<_> = all().filter(is_named).map(|one| one.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[test]
fn machines_are_found_by_every_name() {
    for text in [
        "any(machine = \"arm\", machine = \"mips\")",
        "use archipelago_arm::A; use archipelago_mips::B;",
        "arch/arm and arch/mips",
        "armv7a-none-eabi, mipsel-unknown-none",
    ] {
        assert_eq!(machines_in(text), ["arm", "mips"], "{text}");
    }
    assert_eq!(machines_in("cfg(mmu)"), [""; 0]);
}

/// A file that names two machines is one that lists them.
#[test]
fn every_file_that_lists_machines_is_in_the_checklist() {
    let checklist = checklist();
    let mut listing = Vec::new();
    visit(project::root(), &mut |file, text| {
        if machines_in(text).len() > 1 && !EXAMPLES.contains(&file) {
            listing.push(file.to_owned());
        }
    });
    assert!(
        listing.iter().any(|file| file == "targets/machines.rs"),
        "{listing:?}"
    );
    for file in listing {
        assert!(
            checklist.contains(&file),
            "{file} lists machines, and the checklist leaves it out"
        );
    }
}

/// Shows `look` every source file and document of the project, with its path and text.
fn visit(folder: &Path, look: &mut dyn FnMut(&str, &str)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        let kind = path.extension().unwrap_or_default();
        if path.is_dir() {
            visit(&path, look);
        } else if ["rs", "toml", "md"].iter().any(|one| kind == *one) {
            let file = path.strip_prefix(project::root()).expect("below the root");
            let text = fs::read_to_string(&path).expect("text");
            look(&file.to_string_lossy(), &text);
        }
    }
}
