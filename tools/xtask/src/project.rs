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

/// The workspace of all packages for bare targets, which is the kernels' package too.
pub(crate) fn kernels_manifest() -> PathBuf {
    root().join("qemu/Cargo.toml")
}

/// All packages of that workspace.
pub(crate) const BARE_PACKAGES: [&str; 4] = [
    "archipelago-qemu",
    "archipelago-examples",
    "archipelago-code-size",
    "archipelago-link-check",
];

/// The build folder of that workspace, for linting and documentation as well as for builds.
pub(crate) fn bare_target() -> PathBuf {
    target_of("qemu")
}

/// The folders of packages with programs for firmware: heaps whose size is measured, and programs
/// that have to link.
pub(crate) const FIRMWARE: [&str; 2] = ["tools/code-size", "tools/link-check"];

/// The folder of the package with other heaps, a workspace of its own.
pub(crate) const PEERS: &str = "tools/peers";
