//! `cargo xtask mutants`: small changes of the library that its fast tests have to find.
//!
//! `cargo mutants` lists the changes. All of them are built at once, in a copy of the project in
//! which each has a switch, and each is tried with the tests that come by it, which takes a second
//! or two. A switch has no effect on what the compiler evaluates: `--each` has `cargo mutants`
//! build every change by itself, which takes minutes for each.

mod change;
mod copy;
mod equivalent;
mod run;
mod splice;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process;
use crate::project;
use crate::run::BadInput;
use crate::rustup;
use crate::setup::Install;
use crate::toolchain::{Toolchain, without_installs};
use equivalent::{EQUIVALENT, Equivalent};
use run::Fate;

/// The options of `cargo xtask mutants`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The files of the library to change, from the project's root; without any, those of pages,
    /// spans and regions, of growth and of runs.
    files: Vec<PathBuf>,
    /// Seconds that the tests of one change may take which is built by itself. A change for which
    /// they take longer counts as found.
    #[arg(long, default_value_t = 600)]
    timeout: u64,
    /// List the changes, and test none of them.
    #[arg(long)]
    list: bool,
    /// Build every change by itself.
    #[arg(long)]
    each: bool,
}

/// The files that are changed unless others are named.
const FILES: &[&str] = &[
    "src/page/*.rs",
    "src/span/*.rs",
    "src/span/owned/*.rs",
    "src/region/*.rs",
    "src/region/metadata/*.rs",
    "src/region/ranges/*.rs",
    "src/pageheap/ahead.rs",
    "src/pageheap/alloc.rs",
    "src/pageheap/commit.rs",
    "src/pageheap/cover.rs",
    "src/pageheap/grow.rs",
    "src/pageheap/home.rs",
    "src/pageheap/idle.rs",
    "src/pageheap/long.rs",
    "src/pageheap/long_piece.rs",
    "src/pageheap/plan.rs",
    "src/pageheap/pool.rs",
    "src/pageheap/requests.rs",
    "src/pageheap/run.rs",
    "src/pageheap/scavenge.rs",
];

/// The tests that have to find the changes, in a heap with its bitmap, which has code of its own in
/// most of the files.
const TESTS: &[&str] = &[
    "--lib",
    "--test",
    "heap",
    "--test",
    "injection",
    "--test",
    "model",
    "--test",
    "scannable",
];

/// The exit codes of `cargo mutants` for a run that came to its end: all were found, some were not,
/// or the tests of some took too long.
const ENDED: &[i32] = &[0, 2, 3];

/// Changes the files, one place at a time, and prints the changes that no test finds.
///
/// # Errors
/// If a file is not there, or `cargo mutants` is missing or does not come to its end, as it does
/// not where the tests fail without a change.
pub(crate) fn command(options: &Options, install: Install) -> Result<ExitCode> {
    for file in &options.files {
        if !project::root().join(file).is_file() {
            bail!(BadInput(format!(
                "there is no file {} in the project: name it from the project's root, such as \
                 src/span/pool.rs",
                file.display()
            )));
        }
    }
    let toolchain = Toolchain::detect()?;
    ensure_mutants(install)?;
    let folder = project::target_of("mutants");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let outcomes = if options.list {
        let mut list = arguments(&toolchain, options, &folder);
        let status = list.arg("--list").status()?;
        return Ok(if status.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    } else if options.each || !cfg!(target_os = "linux") {
        build_each(&toolchain, options, &folder)?
    } else {
        switch_each(&toolchain, options, &folder)?
    };
    let survivors = survivors(&outcomes.missed, EQUIVALENT);
    for known in EQUIVALENT {
        println!(
            "no fault, {} times: {}: {}: {}",
            known.count, known.file, known.mutant, known.reason
        );
    }
    println!("{}", outcomes.summary(survivors.len()));
    for survivor in &survivors {
        println!("survives: {survivor}");
    }
    Ok(if survivors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The `cargo mutants` of the options, with its results in `folder`.
fn arguments(toolchain: &Toolchain, options: &Options, folder: &Path) -> Command {
    let mut command = toolchain.cargo("mutants");
    command.current_dir(project::root());
    command.args(["--package", "archipelago", "--no-shuffle", "--jobs", "1"]);
    command.args(["--features", "heap-bits"]);
    command.arg("--output").arg(folder);
    command.args(["--timeout", &options.timeout.to_string()]);
    if options.files.is_empty() {
        command.args(FILES.iter().flat_map(|file| ["--file", file]));
    }
    for file in &options.files {
        command.arg("--file").arg(file);
    }
    command
}

/// Has `cargo mutants` build and test every change by itself.
fn build_each(toolchain: &Toolchain, options: &Options, folder: &Path) -> Result<Outcomes> {
    let mut run = arguments(toolchain, options, folder);
    run.arg("--").args(TESTS);
    println!("{}", process::describe(&run));
    let status = run.status()?;
    if !status.code().is_some_and(|code| ENDED.contains(&code)) {
        bail!("`cargo mutants` did not come to its end: {status}");
    }
    Outcomes::read(&folder.join("mutants.out"))
}

/// Builds all changes at once, and switches each on in turn.
fn switch_each(toolchain: &Toolchain, options: &Options, folder: &Path) -> Result<Outcomes> {
    let mut list = arguments(toolchain, options, folder);
    let list = process::output_of(list.args(["--list", "--json"]));
    let changes = change::read(&list.context("`cargo mutants` lists nothing")?)?;
    let built = copy::build(toolchain, folder, &changes, TESTS)?;
    let tests = run::tests(&built, folder, changes.len())?;
    let mut outcomes = Outcomes::default();
    for (number, (change, tests)) in changes.iter().zip(&tests).enumerate() {
        let name = change.name.clone();
        if built.unviable.contains(&number) {
            outcomes.unviable.push(name);
        } else if built.constant.contains(&number) {
            outcomes.constant.push(name);
        } else {
            match run::try_change(&built, number, tests)? {
                Fate::Found => outcomes.caught.push(name),
                Fate::Hung => outcomes.timeout.push(name),
                Fate::Missed => {
                    println!("missed, by {} tests: {name}", tests.len());
                    outcomes.missed.push(name);
                }
            }
        }
    }
    Ok(outcomes)
}

/// Installs `cargo mutants` if it is missing.
fn ensure_mutants(install: Install) -> Result<()> {
    let mut version = Command::new("cargo");
    let version = without_installs(&mut version).args(["mutants", "--version"]);
    if process::output_of(version).is_some() {
        return Ok(());
    }
    rustup::add(
        "cargo-mutants",
        "cargo install --locked cargo-mutants",
        install,
    )
}

/// The changes by what became of them, each as `FILE:LINE:COLUMN: CHANGE`.
#[derive(Debug, Default)]
struct Outcomes {
    caught: Vec<String>,
    missed: Vec<String>,
    timeout: Vec<String>,
    unviable: Vec<String>,
    /// Changes without a switch.
    constant: Vec<String>,
}

impl Outcomes {
    /// Reads the lists that `cargo mutants` leaves in its folder.
    fn read(folder: &Path) -> Result<Self> {
        let list = |name: &str| -> Result<Vec<String>> {
            let file = folder.join(name);
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        Ok(Self {
            caught: list("caught.txt")?,
            missed: list("missed.txt")?,
            timeout: list("timeout.txt")?,
            unviable: list("unviable.txt")?,
            constant: Vec::new(),
        })
    }

    /// A line with the counts, `survivors` of the missed changes being faults.
    fn summary(&self, survivors: usize) -> String {
        format!(
            "{} found, {} without an end, {} not Rust, {} without a switch, {} known to be no faults, \
             {survivors} survive",
            self.caught.len(),
            self.timeout.len(),
            self.unviable.len(),
            self.constant.len(),
            self.missed.len() - survivors,
        )
    }
}

/// The changes that were missed and are not among the `known` ones, each of which excuses as many
/// as it counts.
fn survivors<'a>(missed: &'a [String], known: &[Equivalent]) -> Vec<&'a str> {
    let mut left: Vec<_> = known.iter().map(|one| one.count).collect();
    let is_new = |line: &&str| {
        let mut here = known.iter().zip(&mut left);
        let excused =
            here.find(|(one, left)| **left > 0 && parts(line) == Some((one.file, one.mutant)));
        excused.map(|(_, left)| *left -= 1).is_none()
    };
    missed.iter().map(String::as_str).filter(is_new).collect()
}

/// The file and the change of a line; lines of the file move too often to be recorded.
fn parts(line: &str) -> Option<(&str, &str)> {
    let (place, change) = line.split_once(": ")?;
    let file = place.split(':').next()?;
    Some((file, change))
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    const KNOWN: Equivalent = Equivalent {
        file: "src/span/pool.rs",
        mutant: "replace < with <= in Pool::take",
        count: 1,
        reason: "both are the same here",
    };

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn a_change_that_is_not_recorded_survives() {
        let missed = lines(&[
            "src/span/pool.rs:170:24: replace < with <= in Pool::take",
            "src/span/pool.rs:170:24: replace < with == in Pool::take",
            "src/span/list.rs:17:24: replace < with <= in Pool::take",
        ]);
        assert_eq!(survivors(&missed, &[KNOWN]), missed[1..]);
        assert_eq!(survivors(&missed, &[]), missed);
    }

    #[test]
    fn a_record_excuses_as_many_changes_as_it_counts() {
        let line = "src/span/pool.rs:170:24: replace < with <= in Pool::take";
        let missed = lines(&[line, line, line]);
        for count in 0..3 {
            let known = Equivalent { count, ..KNOWN };
            assert_eq!(survivors(&missed, &[known]), missed[count..]);
        }
    }

    #[test]
    fn a_line_is_told_from_its_change() {
        assert_eq!(
            parts("src/a.rs:1:2: replace f -> Option<u8> with None"),
            Some(("src/a.rs", "replace f -> Option<u8> with None"))
        );
        assert_eq!(parts("no change"), None);
    }

    #[test]
    fn the_summary_tells_faults_from_records() {
        let outcomes = Outcomes {
            caught: lines(&["a", "b"]),
            missed: lines(&["c", "d", "e"]),
            ..Outcomes::default()
        };
        assert_eq!(
            outcomes.summary(1),
            "2 found, 0 without an end, 0 not Rust, 0 without a switch, 2 known to be no faults, 1 \
             survive"
        );
    }

    #[test]
    fn every_list_of_a_run_has_to_be_there() {
        let folder = project::target_of("mutants-test");
        fs::create_dir_all(&folder).expect("a folder");
        for name in ["caught.txt", "missed.txt", "timeout.txt"] {
            fs::write(folder.join(name), "src/a.rs:1:2: replace a with b\n").expect("a file");
        }
        let error = Outcomes::read(&folder).expect_err("a list is missing");
        assert!(format!("{error}").contains("unviable.txt"), "{error}");
        fs::write(folder.join("unviable.txt"), "").expect("a file");
        let outcomes = Outcomes::read(&folder).expect("all lists");
        assert_eq!(outcomes.missed.len(), 1);
        fs::remove_dir_all(&folder).expect("the folder is there");
    }

    #[test]
    fn files_that_are_not_there_are_bad_input() {
        let options = Options {
            files: vec![PathBuf::from("src/span/none.rs")],
            timeout: 1,
            list: true,
            each: false,
        };
        let error = command(&options, Install::Never).expect_err("there is no such file");
        assert!(error.is::<BadInput>(), "{error}");
    }

    #[test]
    fn all_files_that_are_named_exist() {
        for file in FILES {
            let (folder, name) = file.rsplit_once('/').expect("a folder");
            let found = fs::read_dir(project::root().join(folder)).expect("the folder exists");
            let mut names = found.map(|entry| entry.expect("it can be read").file_name());
            let is_named = |found: &str| name == found || name == "*.rs" && found.ends_with(".rs");
            assert!(
                names.any(|found| is_named(&found.to_string_lossy())),
                "{file}"
            );
        }
        for one in EQUIVALENT {
            assert!(project::root().join(one.file).is_file(), "{one:?}");
            assert!(!one.reason.is_empty() && one.count > 0, "{one:?}");
        }
        let described: BTreeSet<_> = EQUIVALENT
            .iter()
            .map(|one| (one.file, one.mutant))
            .collect();
        assert_eq!(described.len(), EQUIVALENT.len(), "each has one entry");
    }
}
