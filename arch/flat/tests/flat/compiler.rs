//! Programs that the compiler has to refuse, with a message that says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package of the programs in a folder of the crate under test.
pub(crate) struct Programs {
    package: PathBuf,
}

impl Programs {
    /// The programs in `folder`, which depend on the crate under test and on `dependencies`, lines
    /// of a manifest.
    pub(crate) fn in_folder(folder: &str, dependencies: &str) -> Self {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let name = env!("CARGO_PKG_NAME");
        let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&package).expect("a folder of our own");
        let mut manifest = format!(
            "[workspace]\n[package]\nname = \"programs\"\nversion = \"0.0.0\"\n\
             edition = \"2024\"\n[dependencies]\n{name} = {{ path = {own:?} }}\n{dependencies}\n"
        );
        for program in fs::read_dir(own.join("tests").join(folder)).expect("the programs") {
            let path = program.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_owned();
            manifest.push_str(&format!("[[bin]]\nname = {name:?}\npath = {path:?}\n"));
        }
        fs::write(package.join("Cargo.toml"), manifest).expect("a file of our own");
        // The lock file has versions that are there already, so cargo fetches nothing.
        fs::copy(own.join("../../Cargo.lock"), package.join("Cargo.lock")).expect("the lock file");
        Self { package }
    }

    /// The compiler's message for a program; `None` if the program compiles.
    pub(crate) fn message(&self, program: &str) -> Option<String> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["check", "--quiet", "--offline", "--bin", program]);
        // Neither the flags nor the target folder of the test run.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(variable);
        }
        cargo.env("CARGO_TARGET_DIR", self.package.join("target"));
        let output = cargo.current_dir(&self.package).output();
        let output = output.expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then_some(text)
    }
}
