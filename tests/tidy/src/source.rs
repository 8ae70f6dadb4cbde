//! Source files: where they are found and how they are read.

use core::str::FromStr;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;

/// Folders that hold no source of the project: what is built, downloaded or recorded.
const SKIPPED: &[&str] = &["target", ".git", "recorded"];

/// A file: its path from the root of the repository, with `/` between folders, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// A file that exists in a test alone.
    pub(crate) fn planted(path: &str, text: &str) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// The tokens of a Rust file. Comments are none, except for documentation.
    ///
    /// # Panics
    /// If the text is no Rust.
    pub(crate) fn tokens(&self) -> TokenStream {
        match TokenStream::from_str(&self.text) {
            Ok(tokens) => tokens,
            Err(error) => unreachable!("{}: {error}", self.path),
        }
    }
}

/// All Rust and Markdown files of the repository.
///
/// # Panics
/// If a folder cannot be read.
pub(crate) fn repository() -> Vec<Source> {
    let found = below("", &["rs", "md"]);
    assert!(found.len() > 400, "only {} files", found.len());
    found
}

/// All TOML files of the repository.
///
/// # Panics
/// If a folder cannot be read.
pub(crate) fn manifests() -> Vec<Source> {
    let found = below("", &["toml"]);
    assert!(found.len() > 15, "only {} files", found.len());
    found
}

/// The Rust files of the library.
pub(crate) fn library() -> Vec<Source> {
    rust_below("src", 50)
}

/// The Rust files of the firmware heap.
pub(crate) fn firmware() -> Vec<Source> {
    rust_below("firmware/src", 4)
}

/// The Rust files of the crates under `arch/`, except the simulated machine and the tests, which
/// run on the host alone.
pub(crate) fn machines() -> Vec<Source> {
    let mut found = rust_below("arch", 50);
    found.retain(|source| {
        let mut folders = source.path.split('/').skip(1);
        folders.next() != Some("sim") && folders.next() == Some("src")
    });
    found
}

/// The Rust files below a folder, of which there are at least `least`.
fn rust_below(folder: &str, least: usize) -> Vec<Source> {
    let found = below(folder, &["rs"]);
    assert!(
        found.len() >= least,
        "only {} files in {folder}",
        found.len()
    );
    found
}

fn below(folder: &str, endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    collect(&root, &root.join(folder), endings, &mut found);
    found
}

/// The root of the repository, two folders above this package.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn collect(root: &Path, folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a plain name");
        if path.is_dir() {
            if !SKIPPED.contains(&name) {
                collect(root, &path, endings, found);
            }
        } else if endings.iter().any(|&ending| has_ending(&path, ending)) {
            let below = path.strip_prefix(root).expect("a path below the root");
            found.push(Source {
                path: below.to_str().expect("a plain name").replace('\\', "/"),
                text: fs::read_to_string(&path).expect("text"),
            });
        }
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == ending)
}
