//! What the linker is told: the roots of a heap, which nothing else of it may keep alive.

fn main() {
    for root in ["alloc", "dealloc", "realloc", "alloc_zeroed"] {
        println!("cargo::rustc-link-arg-bins=--undefined={root}");
    }
    for argument in ["--gc-sections", "--entry=alloc", "-z", "norelro"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
