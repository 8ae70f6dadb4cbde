//! The compiler stops at a geometry that does not add up, with a message that says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package of the programs in `tests/bad_shapes`, which depend on this crate.
fn package() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad_shapes");
    fs::create_dir_all(&folder).expect("a folder of our own");
    let mut manifest = format!(
        "[workspace]\n[package]\nname = \"bad-shapes\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\narchipelago-flat = {{ path = {own:?} }}\n"
    );
    for program in fs::read_dir(own.join("tests/bad_shapes")).expect("the programs") {
        let path = program.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_owned();
        manifest.push_str(&format!("[[bin]]\nname = {name:?}\npath = {path:?}\n"));
    }
    fs::write(folder.join("Cargo.toml"), manifest).expect("a file of our own");
    // The lock file has versions that are there already, so cargo fetches nothing.
    fs::copy(own.join("../../Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file");
    folder
}

/// The compiler's message for a program; `None` if the program compiles.
fn said(folder: &Path, program: &str) -> Option<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["check", "--quiet", "--offline", "--bin", program]);
    // Neither the flags nor the target folder of the test run.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(variable);
    }
    cargo.env("CARGO_TARGET_DIR", folder.join("target"));
    let output = cargo.current_dir(folder).output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(text)
}

#[test]
fn a_geometry_that_does_not_add_up_is_stopped_by_the_compiler() {
    let folder = package();
    let sound = said(&folder, "sound");
    assert_eq!(sound, None, "a shape that adds up");
    let bad = [
        ("half_a_chunk", "an arena has at least one chunk"),
        (
            "tiny_pages",
            "a page of a small geometry has 256 bytes to 1 KiB",
        ),
        (
            "wide_root",
            "the index root has as many words as the geometry says",
        ),
    ];
    for (program, message) in bad {
        let said = said(&folder, program).expect("it does not compile");
        assert!(said.contains(message), "{program}: {said}");
    }
}
