//! Where things are in the project.

use std::path::{Path, PathBuf};

/// The project's root.
pub(crate) fn root() -> &'static Path {
    // The manifest of this very package stands two folders below it.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest)
}

/// Where everything that is built goes.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// A build folder of its own, for builds that would evict one another's results elsewhere.
pub(crate) fn target_of(name: &str) -> PathBuf {
    target().join(name)
}

/// The package of the kernels.
pub(crate) fn kernels_manifest() -> PathBuf {
    root().join("qemu/Cargo.toml")
}

/// The packages of programs for small parts: heaps that are measured, and programs that have to
/// link.
pub(crate) const SMALL: [&str; 2] = ["tools/code-size", "tools/link-check"];

/// The package of the examples, which are kernels too.
pub(crate) fn examples_manifest() -> PathBuf {
    root().join("examples/Cargo.toml")
}
