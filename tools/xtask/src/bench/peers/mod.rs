//! `cargo xtask bench peers`: the heap in a process beside other heaps.
//!
//! The program `tools/peers` has them all. Instructions are counted by callgrind, one run for each
//! heap and row, in the function that makes the requests to be measured; those of a heap that does
//! nothing are taken off. Times are measured afterwards, with nothing beside them.

mod callgrind;
mod counted;
mod tables;

use alloc::collections::BTreeMap;
use core::num::NonZero;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::process;
use crate::project::{self, PEERS};
use crate::run::BadInput;
use crate::setup::{self, Install, Needs};
use crate::toolchain::Toolchain;
use callgrind::Instructions;
use counted::{Cell, Counted, TOLERANCE};
use tables::{Heap, Measured, Row, Time};

/// The heap that does nothing.
const HARNESS: &str = "null";

/// The function in which requests are measured.
const MEASURED: &str = "archipelago_measured";

/// The heaps that need a C or a C++ compiler.
const NATIVE: [&str; 3] = ["mimalloc", "snmalloc", "jemalloc"];

/// The committed figures.
const COMMITTED: &str = "tools/peers/counted.txt";

/// The options of `peers`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PeerOptions {
    /// Count the instructions of `peers`, and compare them with the committed ones: the exit code
    /// is 1 where they differ by more than 2 %. With `--write` they are committed instead.
    #[arg(long)]
    pub(super) check: bool,
    /// The heaps of `peers`, with commas between them; all of them if none is named. Without
    /// mimalloc, snmalloc and jemalloc no C compiler is needed.
    #[arg(long, value_delimiter = ',')]
    heaps: Vec<String>,
    /// Rounds of each heap whose times are measured; 0 for no times.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
}

/// Measures, prints tables, and draws the page. The exit code says whether the counted figures are
/// the committed ones, if that is asked for.
///
/// # Errors
/// If something is missing, cannot be built, or does not end well.
pub(super) fn run(options: &PeerOptions, writes: bool, install: Install) -> Result<ExitCode> {
    let is_native = options.heaps.is_empty()
        || options
            .heaps
            .iter()
            .any(|heap| NATIVE.contains(&heap.as_str()));
    let needs = Needs {
        programs: setup::profiling(is_native),
        names_of_libc: true,
        ..Needs::default()
    };
    let toolchain = needs.ensure(install)?;
    let program = Program::build(&toolchain, is_native)?;
    let mut measured = program.describe(&toolchain, &options.heaps)?;
    measured.counted = program.count_all(&measured.heaps, &measured.rows)?;
    let is_short = options.check || options.rounds == 0;
    if !is_short {
        measured.times = program.times(&measured.heaps, options.rounds)?;
    }
    // What the harness costs is a row of the times alone.
    measured.heaps.retain(|heap| heap.name != HARNESS);
    let markdown = measured.markdown();
    println!("{markdown}");
    if !is_short {
        program.draw(&measured, &markdown)?;
    }
    if options.check || writes {
        return conclude(&measured, writes);
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares with the committed figures, or commits these.
fn conclude(measured: &Measured, writes: bool) -> Result<ExitCode> {
    let file = project::root().join(COMMITTED);
    let text = fs::read_to_string(&file);
    if writes {
        let before = Counted::read(text.as_deref().unwrap_or_default())?;
        let mut comments = vec![
            "Instructions a request, and those of memset, memcpy and memmove: ROW HEAP INSTRUCTIONS \
             MEMORY."
                .to_owned(),
            "Written by `cargo xtask bench peers --check --write`.".to_owned(),
        ];
        comments.extend(measured.notes.iter().cloned());
        fs::write(&file, before.updated(&measured.counted).write(&comments))?;
        println!("written: {COMMITTED}");
        return Ok(ExitCode::SUCCESS);
    }
    let text = text.with_context(|| {
        format!("{COMMITTED}: `cargo xtask bench peers --check --write` writes it")
    })?;
    Ok(if is_as_committed(measured, &text)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Compares with the text of the committed figures, prints those that differ, and returns whether
/// there are none.
fn is_as_committed(measured: &Measured, committed: &str) -> Result<bool> {
    let heaps = measured.heaps.iter().map(|heap| heap.name.as_str());
    let heaps: Vec<_> = heaps.collect();
    let expected = Counted::read(committed)?;
    let (right, faults) = measured.counted.compare(&expected, &heaps);
    for fault in &faults {
        println!("FAIL {fault}");
    }
    println!(
        "{right} figures as in {COMMITTED}, {} not (within {TOLERANCE} %)",
        faults.len()
    );
    if faults.is_empty() {
        return Ok(true);
    }
    let notes = committed.lines().filter_map(|line| line.strip_prefix("# "));
    let others = notes
        .skip(2)
        .filter(|note| !measured.notes.iter().any(|own| own == note));
    let others: Vec<_> = others.collect();
    if !others.is_empty() {
        println!("the committed ones are of: {}", others.join("; "));
    }
    println!("if the change is meant: cargo xtask bench peers --check --write");
    Ok(false)
}

/// The program with all heaps.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    /// Where its files go.
    folder: PathBuf,
}

impl Program {
    fn build(toolchain: &Toolchain, is_native: bool) -> Result<Self> {
        let folder = project::target_of("peers");
        eprintln!("peers: building the heaps (C and C++ ones take minutes the first time)");
        let mut build = toolchain.cargo("build");
        build.current_dir(project::root().join(PEERS));
        build
            .args(["--release", "--locked", "--target-dir"])
            .arg(&folder);
        if !is_native {
            build.arg("--no-default-features");
        }
        let start = Instant::now();
        let mut seen = 0;
        let finished = process::run(&mut build, None, |line| {
            let tens = start.elapsed().as_secs() / 20;
            if tens > seen {
                seen = tens;
                eprintln!("peers: {}", line.trim());
            }
        })?;
        if !finished.ending.success() {
            let lines = finished.lines.join("\n");
            bail!("`{}` failed:\n{lines}", process::describe(&build));
        }
        Ok(Self {
            path: folder.join("release/peers"),
            folder,
        })
    }

    /// Heaps and rows to be measured, and by which programs.
    fn describe(&self, toolchain: &Toolchain, wanted: &[String]) -> Result<Measured> {
        let lock = fs::read_to_string(project::root().join(PEERS).join("Cargo.lock"))?;
        let names: Vec<_> = self.lines("heaps", "heap ")?;
        let mut heaps = Vec::new();
        for (name, package) in names.iter().filter_map(|line| line.split_once(' ')) {
            let is_wanted = wanted.is_empty() || wanted.iter().any(|one| one == name);
            if is_wanted || name == HARNESS {
                let version = version(&lock, package).unwrap_or_else(libc_version);
                let name = name.to_owned();
                heaps.push(Heap { name, version });
            }
        }
        let unknown = wanted
            .iter()
            .find(|one| !heaps.iter().any(|heap| heap.name == **one));
        if let Some(unknown) = unknown {
            let names = names.iter().filter_map(|line| line.split(' ').next());
            let names = names.filter(|name| *name != HARNESS && !NATIVE.contains(name));
            let names: Vec<_> = names.chain(NATIVE).collect();
            let names = names.join(", ");
            bail!(BadInput(format!(
                "there is no heap {unknown}; the heaps are: {names}"
            )));
        }
        let rows = self.lines("rows", "row ")?;
        let rows = rows.iter().filter_map(|line| line.split_once(' '));
        let rows = rows.map(|(name, about)| Row {
            name: name.to_owned(),
            about: about.to_owned(),
        });
        let profiler = process::output_of(Command::new("valgrind").arg("--version"));
        Ok(Measured {
            notes: vec![
                toolchain.version.clone(),
                profiler.context("valgrind has no version")?,
            ],
            heaps,
            rows: rows.collect(),
            ..Measured::default()
        })
    }

    /// The lines that the program prints with `prefix`, without it.
    fn lines(&self, command: &str, prefix: &str) -> Result<Vec<String>> {
        let text = process::output_of(Command::new(&self.path).arg(command));
        let text = text.with_context(|| format!("`{} {command}` failed", self.path.display()))?;
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        Ok(lines.map(str::to_owned).collect())
    }

    /// Counts every heap's instructions in every row, several runs at once.
    fn count_all(&self, heaps: &[Heap], rows: &[Row]) -> Result<Counted> {
        let places: Vec<_> = heaps
            .iter()
            .flat_map(|heap| {
                rows.iter()
                    .map(move |row| (heap.name.as_str(), row.name.as_str()))
            })
            .collect();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let start = Instant::now();
        let work = || -> Result<()> {
            while let Some((heap, row)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                let counted = self
                    .count(heap, row)
                    .with_context(|| format!("{heap}, {row}"))?;
                let mut found = found
                    .lock()
                    .map_err(|_| anyhow::anyhow!("a thread panicked"))?;
                found.insert((*row, *heap), counted);
                if found.len() % rows.len() == 0 {
                    let (done, all) = (found.len(), places.len());
                    let seconds = start.elapsed().as_secs();
                    eprintln!("peers: counted {done} of {all} ({heap}, {row}), {seconds} s");
                }
            }
            Ok(())
        };
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| match worker.join() {
                    Ok(done) => done,
                    Err(_) => bail!("a thread panicked"),
                })
        })?;
        let found = found
            .into_inner()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        less_harness(&found)
    }

    /// The requests of one row, and the instructions of all of them; `None` if the program does not
    /// make them.
    fn count(&self, heap: &str, row: &str) -> Result<Option<(f64, Instructions)>> {
        let out = self.folder.join(format!("callgrind-{heap}-{row}.txt"));
        let mut command = Command::new("valgrind");
        command.args(["-q", "--tool=callgrind", "--collect-atstart=no"]);
        command.args(["--compress-strings=no", "--compress-pos=no"]);
        command.arg(format!("--toggle-collect={MEASURED}"));
        command.arg(format!("--callgrind-out-file={}", out.display()));
        command.arg(&self.path).args(["count", heap, row]);
        let finished = process::run(&mut command, None, |_| ())?;
        if !finished.ending.success() {
            let lines = finished.lines.join("\n");
            bail!("`{}` failed:\n{lines}", process::describe(&command));
        }
        let mut lines = finished.lines.iter();
        let Some(actions) = lines.find_map(|line| line.strip_prefix("actions ")) else {
            return Ok(None);
        };
        let instructions = Instructions::read(&read(&out)?)?;
        ensure!(
            instructions.own > 0,
            "nothing was counted: the program has no function {MEASURED}"
        );
        // A file that cannot be removed is in the way of nothing.
        let _ = fs::remove_file(&out);
        Ok(Some((actions.parse()?, instructions)))
    }

    /// Times of the heaps.
    fn times(&self, heaps: &[Heap], rounds: u32) -> Result<Vec<Time>> {
        eprintln!("peers: times, {rounds} rounds of each heap with 1, 2 and 4 threads");
        let mut command = Command::new(&self.path);
        command.arg("times").arg(rounds.to_string());
        command.args(heaps.iter().map(|heap| heap.name.as_str()));
        let finished = process::run(&mut command, None, |line| {
            if line.starts_with("times: ") {
                eprintln!("peers: {line}");
            }
        })?;
        if !finished.ending.success() {
            let lines = finished.lines.join("\n");
            bail!("`{}` failed:\n{lines}", process::describe(&command));
        }
        let times = finished.lines.iter().filter_map(|line| Time::read(line));
        Ok(times.collect())
    }

    /// Writes the tables and the page, and says where they are.
    fn draw(&self, measured: &Measured, markdown: &str) -> Result<()> {
        let [tables, lines, page] =
            ["peers.md", "figures.txt", "peers.html"].map(|name| self.folder.join(name));
        fs::write(&tables, markdown)?;
        fs::write(&lines, measured.lines())?;
        let mut draw = Command::new(&self.path);
        draw.arg("page").arg(&lines).arg(&page);
        process::output_of(&mut draw)
            .with_context(|| format!("`{}` failed", process::describe(&draw)))?;
        println!("tables: {}\npage:   {}", tables.display(), page.display());
        Ok(())
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// Requests and instructions, by row and heap.
type Found<'a> = BTreeMap<(&'a str, &'a str), Option<(f64, Instructions)>>;

/// The instructions of a request, less those of the heap that does nothing.
fn less_harness(found: &Found<'_>) -> Result<Counted> {
    let mut counted = Counted::default();
    let mut is_memory_named = false;
    for ((row, heap), cell) in found.iter().filter(|((_, heap), _)| *heap != HARNESS) {
        let Some((actions, all)) = cell else {
            continue;
        };
        let harness = found.get(&(*row, HARNESS)).copied().flatten();
        let (requests, harness) = harness.with_context(|| format!("{row}: no {HARNESS}"))?;
        let each = |own: u64, harness: u64| as_float(own) / actions - as_float(harness) / requests;
        let own = each(all.own, harness.own);
        let memory = each(all.memory, harness.memory);
        is_memory_named |= all.memory > 0;
        counted.add(row, heap, Cell { own, memory });
    }
    ensure!(
        is_memory_named,
        "no call of memset or memcpy was found: the C library's functions have no names here; \
         install its debugging symbols (Debian: apt-get install libc6-dbg)"
    );
    Ok(counted)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// The version of a package in a lock file, if it has a number there.
fn version(lock: &str, package: &str) -> Option<String> {
    let entry = lock.split("[[package]]").find(|entry| {
        let mut lines = entry.lines();
        lines.any(|line| line == format!("name = \"{package}\"")) && package != "libc"
    })?;
    let version = entry
        .lines()
        .find_map(|line| line.strip_prefix("version = "))?;
    Some(version.trim_matches('"').to_owned())
}

/// The version of the C library.
fn libc_version() -> String {
    let text = process::output_of(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    text.unwrap_or_else(|| "of the C library".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(actions: f64, own: u64, memory: u64) -> Option<(f64, Instructions)> {
        Some((actions, Instructions { own, memory }))
    }

    #[test]
    fn figures_are_those_of_a_request_without_the_harness() {
        let found = Found::from([
            (("frag", HARNESS), run(1000.0, 20_000, 0)),
            // The list searches: it gets fewer requests.
            (("frag", "list"), run(10.0, 1200, 50)),
            (("jq", HARNESS), run(10.0, 200, 0)),
            (("jq", "list"), None),
        ]);
        let counted = less_harness(&found).expect("a harness");
        let cell = Cell {
            own: 100.0,
            memory: 5.0,
        };
        assert_eq!(counted.get("frag", "list"), Some(cell));
        assert_eq!(counted.get("jq", "list"), None);
        assert_eq!(counted.get("frag", HARNESS), None);
    }

    #[test]
    fn a_check_fails_where_a_figure_is_three_percent_off() {
        let mut measured = Measured {
            heaps: vec![Heap {
                name: "list".to_owned(),
                version: "1".to_owned(),
            }],
            ..Measured::default()
        };
        let (own, memory) = (100.0, 0.0);
        measured.counted.add("pair", "list", Cell { own, memory });
        let check = |committed: &str| is_as_committed(&measured, committed).expect("figures");
        assert!(check("# a\n# b\n# rustc 1\npair list 101.00 0.00\n"));
        assert!(!check("# a\n# b\n# rustc 1\npair list 103.00 0.00\n"));
        assert!(!check(""));
    }

    #[test]
    fn a_library_whose_functions_have_no_names_is_noticed() {
        let found = Found::from([
            (("git", HARNESS), run(10.0, 200, 0)),
            (("git", "list"), run(10.0, 1200, 0)),
        ]);
        let error = less_harness(&found).expect_err("no memset").to_string();
        assert!(error.contains("libc6-dbg"), "{error}");
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"talc-api\"\nversion = \"1.0\"\n\n[[package]]\n\
            name = \"talc\"\nversion = \"5.1.1\"\ndependencies = []\n";
        assert_eq!(version(lock, "talc").as_deref(), Some("5.1.1"));
        assert_eq!(version(lock, "tal"), None);
    }

    #[test]
    fn every_native_heap_is_one_that_the_program_has() {
        let heaps = fs::read_to_string(project::root().join(PEERS).join("src/heaps.rs"));
        let heaps = heaps.expect("the heaps");
        for name in NATIVE.into_iter().chain([HARNESS]) {
            assert!(heaps.contains(&format!("\"{name}\",")), "{name}");
        }
        let committed = fs::read_to_string(project::root().join(COMMITTED)).expect("figures");
        assert_ne!(
            Counted::read(&committed).expect("figures"),
            Counted::default()
        );
    }
}
