//! A copy of the project in which every change has a switch, and its test programs.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Range;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::change::Change;
use super::splice;
use crate::project;
use crate::toolchain::Toolchain;

/// The package that says which change is on.
const SWITCH: &str = include_str!("switch.txt");
const SWITCH_MANIFEST: &str = "[package]\nname = \"mutant-switch\"\nversion = \"0.0.0\"\n\
                               edition = \"2024\"\n\n[workspace]\n";

/// The packages that compile the changed files.
const MANIFESTS: &[&str] = &["Cargo.toml", "tests/inside/Cargo.toml"];

/// Folders that are not copied.
const LEFT_OUT: &[&str] = &["target", ".git"];

/// The copy, built.
#[derive(Debug)]
pub(super) struct Built {
    /// The root of the copy.
    pub(super) root: PathBuf,
    /// The test programs.
    pub(super) programs: Vec<PathBuf>,
    /// The numbers of changes that are no Rust.
    pub(super) unviable: BTreeSet<usize>,
    /// The numbers of changes of what the compiler evaluates.
    pub(super) constant: BTreeSet<usize>,
}

/// Copies the project to `folder`, puts in switches for `changes`, whose numbers are their places,
/// and builds the `tests`.
///
/// # Errors
/// If the copy cannot be made or built.
pub(super) fn build(
    toolchain: &Toolchain,
    folder: &Path,
    changes: &[Change],
    tests: &[&str],
) -> Result<Built> {
    let mut built = Built {
        root: folder.join("switched"),
        programs: Vec::new(),
        unviable: BTreeSet::new(),
        constant: BTreeSet::new(),
    };
    let mut by_file: BTreeMap<&str, Vec<(usize, &Change)>> = BTreeMap::new();
    for (number, change) in changes.iter().enumerate() {
        by_file
            .entry(&change.file)
            .or_default()
            .push((number, change));
    }
    copy(project::root(), &built.root, &|path| {
        let path = path.to_string_lossy();
        by_file.contains_key(path.as_ref()) || MANIFESTS.contains(&path.as_ref())
    })?;
    let switch = folder.join("switch");
    write(&switch.join("src/lib.rs"), SWITCH)?;
    write(&switch.join("Cargo.toml"), SWITCH_MANIFEST)?;
    for manifest in MANIFESTS {
        let text = read(&project::root().join(manifest))?;
        let found = "\n[dependencies]\n";
        let more = format!("{found}mutant-switch = {{ path = {switch:?} }}\n");
        write(&built.root.join(manifest), text.replacen(found, &more, 1))?;
    }
    let cargo = |action: &str| {
        let mut command = toolchain.cargo(action);
        command
            .current_dir(&built.root)
            .args(["--package", "archipelago", "--features", "heap-bits"])
            .arg("--message-format=json")
            // A constant function cannot ask which change is on without it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "--cap-lints=allow")
            .env("CARGO_TARGET_DIR", folder.join("built"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0");
        command
    };
    loop {
        let mut switches = BTreeMap::new();
        for (file, changes) in &by_file {
            let viable: Vec<_> = changes
                .iter()
                .filter(|(number, _)| !built.unviable.contains(number))
                .copied()
                .collect();
            let switched = splice::switch(&read(&project::root().join(file))?, &viable)
                .with_context(|| format!("cannot change {file}"))?;
            write(&built.root.join(file), &switched.text)?;
            built.constant.extend(switched.constant);
            switches.insert((*file).to_owned(), switched.switches);
        }
        let (success, messages) = messages(cargo("check").arg("--lib"))?;
        let refused = refused(&messages, &switches);
        if success {
            break;
        }
        if refused.is_empty() {
            bail!(
                "the copy with switches in {} does not build",
                built.root.display()
            );
        }
        built.unviable.extend(refused);
    }
    let (success, messages) = messages(cargo("test").arg("--no-run").args(tests))?;
    let program = |message: &Value| Some(PathBuf::from(message["executable"].as_str()?));
    built.programs = messages.iter().filter_map(program).collect();
    if !success || built.programs.is_empty() {
        bail!("the tests in {} do not build", built.root.display());
    }
    Ok(built)
}

/// Copies the files in `from`, but for those that are `made` elsewhere, by their paths from there.
fn copy(from: &Path, to: &Path, made: &impl Fn(&Path) -> bool) -> Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(from.join(&folder));
        for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let path = folder.join(&name);
            if entry.file_type()?.is_dir() {
                if !LEFT_OUT.contains(&name.to_string_lossy().as_ref()) {
                    folders.push(path);
                }
            } else if !made(&path) {
                let bytes = fs::read(entry.path())?;
                write(&to.join(path), bytes)?;
            }
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Writes a file unless it is as it should be: cargo builds what depends on a newer one.
fn write(file: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == text.as_ref()) {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(file, text))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Runs cargo; returns whether it succeeded, and its messages.
fn messages(command: &mut Command) -> Result<(bool, Vec<Value>)> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>();
    let messages = messages.context("cargo answers with something else than JSON")?;
    Ok((output.status.success(), messages))
}

/// The changes in whose switches the compiler found errors.
fn refused(
    messages: &[Value],
    switches: &BTreeMap<String, Vec<(usize, Range<usize>)>>,
) -> BTreeSet<usize> {
    let errors = messages.iter().map(|message| &message["message"]);
    let errors = errors.filter(|message| message["level"] == "error");
    let spans = errors
        .filter_map(|message| message["spans"].as_array())
        .flatten();
    let mut refused = BTreeSet::new();
    for span in spans.filter(|span| span["is_primary"] == true) {
        let file = span["file_name"]
            .as_str()
            .and_then(|file| switches.get(file));
        let start = span["byte_start"]
            .as_u64()
            .and_then(|start| usize::try_from(start).ok());
        let (Some(file), Some(start)) = (file, start) else {
            continue;
        };
        let here = file.iter().filter(|(_, range)| range.contains(&start));
        refused.extend(here.map(|(number, _)| number));
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_of_an_error_is_found() {
        let error = |file: &str, at: usize, is_primary: bool| {
            let span = serde_json::json!({
                "file_name": file, "byte_start": at, "is_primary": is_primary,
            });
            serde_json::json!({"message": {"level": "error", "spans": [span]}})
        };
        let switches = [("src/a.rs".to_owned(), vec![(7, 10..20), (8, 20..30)])].into();
        let found = |messages: &[Value]| refused(messages, &switches).into_iter().collect();
        let none: Vec<usize> = Vec::new();
        let of_both = [error("src/a.rs", 19, true), error("src/a.rs", 20, true)];
        assert_eq!(
            Vec::<usize>::from_iter(refused(&of_both, &switches)),
            [7, 8]
        );
        for other in [
            error("src/a.rs", 30, true),
            error("src/b.rs", 15, true),
            error("src/a.rs", 15, false),
        ] {
            assert_eq!(none, Vec::from_iter::<Vec<usize>>(found(&[other])));
        }
    }

    #[test]
    fn the_packages_that_compile_the_library_have_dependencies() {
        for manifest in MANIFESTS {
            let text = read(&project::root().join(manifest)).expect("a manifest");
            assert!(text.contains("\n[dependencies]\n"), "{manifest}");
        }
    }
}
