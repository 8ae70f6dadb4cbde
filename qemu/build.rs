//! Says which machine the kernels are built for, as `cfg(machine = "…")`, and hands the linker that
//! machine's script.
use std::env;
use std::path::Path;

/// A target, its machine, its linker script in `targets`, and what else its linker has to know.
type Machine = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const MACHINES: [Machine; 5] = [
    // x86_64-unknown-none links position-independent executables, which cannot hold the 32-bit
    // relocations of the entry code. The last such option wins.
    (
        "x86_64-unknown-none",
        "x86_64",
        "x86_64-unknown-none.ld",
        &["--no-pie"],
    ),
    ("armv7a-none-eabi", "arm", "armv7a-none-eabi.ld", &[]),
    ("mipsel-unknown-none", "mips", "mips.ld", &[]),
    ("mips-mti-none-elf", "mips", "mips.ld", &[]),
    (
        "thumbv7m-none-eabi",
        "cortex_m",
        "thumbv7m-none-eabi.ld",
        &[],
    ),
];

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let names = r#""x86_64", "arm", "mips", "cortex_m""#;
    println!("cargo:rustc-check-cfg=cfg(machine, values({names}))");
    println!("cargo:rerun-if-changed=build.rs");
    let target = variable("TARGET");
    let Some((_, machine, script, arguments)) = MACHINES.iter().find(|(name, ..)| *name == target)
    else {
        panic!("the kernels boot on no machine of target {target}");
    };
    println!("cargo:rustc-cfg=machine=\"{machine}\"");
    println!("cargo:rustc-check-cfg=cfg(mmu)");
    if *machine != "cortex_m" {
        println!("cargo:rustc-cfg=mmu");
    }
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../targets");
    let script = folder.join(script);
    println!("cargo:rerun-if-changed={}", script.display());
    // What it includes.
    println!(
        "cargo:rustc-link-search={}",
        script.with_extension("").display()
    );
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    for argument in *arguments {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
