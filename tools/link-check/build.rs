//! The linker's arguments: no start files, and an error for every undefined symbol.

fn main() {
    println!("cargo::rustc-link-arg-bins=--entry=_start");
    println!("cargo::rustc-link-arg-bins=--gc-sections");
    println!("cargo::rustc-link-arg-bins=--no-undefined");
}
