//! What the linker is told: which functions a heap is measured by, which nothing else may keep
//! alive, and to write a map of what it put where.

use std::env;

/// The folder that maps go to.
const MAPS: &str = "ARCHIPELAGO_SIZE_MAPS";

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
    // `init` is no root: it is compiled, so that nobody can know that a heap never gets memory, and
    // then left out.
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
