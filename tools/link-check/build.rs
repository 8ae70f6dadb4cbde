//! Linked as it is, without start files: whatever is missing is an error of the linker.

fn main() {
    println!("cargo::rustc-link-arg-bins=--entry=_start");
    println!("cargo::rustc-link-arg-bins=--gc-sections");
    println!("cargo::rustc-link-arg-bins=--no-undefined");
}
