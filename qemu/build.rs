//! Hands the linker the script of the target that is being built.
use std::env;
use std::path::Path;

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let target = variable("TARGET");
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join(format!("../targets/{target}.ld"));
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    // x86_64-unknown-none links position-independent executables, which cannot hold the 32-bit
    // relocations of the entry code. The last such option wins.
    println!("cargo:rustc-link-arg-bins=--no-pie");
}
