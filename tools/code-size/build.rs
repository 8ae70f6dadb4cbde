//! The linker's arguments: the functions that a heap is measured by are the only roots, and a map
//! lists the pieces of the program. With `init` among the roots the programs are whole:
//! `cfg(whole)` says so to the kernel's function that stops with a report.

use std::env;

/// The variable that names the folder for maps.
const MAPS: &str = "ARCHIPELAGO_SIZE_MAPS";

/// The variable that makes `init` a root.
const WITH_INIT: &str = "ARCHIPELAGO_SIZE_WITH_INIT";

const PROGRAMS: [&str; 9] = [
    "archipelago_whole",
    "archipelago_firmware",
    "linked_list_allocator",
    "talc",
    "rlsf",
    "buddy_system_allocator",
    "dlmalloc",
    "rusty_alloc",
    "planted",
];

fn main() {
    println!("cargo::rerun-if-env-changed={MAPS}");
    println!("cargo::rerun-if-env-changed={WITH_INIT}");
    println!("cargo::rustc-check-cfg=cfg(whole)");
    // Without the variable `init` is no root. The compiler sees it and cannot conclude that a heap
    // never gets memory; the linker then leaves it out.
    if env::var_os(WITH_INIT).is_some() {
        println!("cargo::rustc-cfg=whole");
        println!("cargo::rustc-link-arg-bins=--undefined=init");
    }
    for root in ["alloc", "dealloc", "realloc", "alloc_zeroed"] {
        println!("cargo::rustc-link-arg-bins=--undefined={root}");
    }
    println!("cargo::rustc-link-arg-bins=--entry=alloc");
    println!("cargo::rustc-link-arg-bins=--gc-sections");
    if let Ok(folder) = env::var(MAPS) {
        for program in PROGRAMS {
            println!("cargo::rustc-link-arg-bin={program}=-Map={folder}/{program}.map");
        }
    }
}
