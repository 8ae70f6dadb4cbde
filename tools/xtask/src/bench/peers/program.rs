//! The programs with the heaps: one that has all of them, and one whose archipelago trusts its
//! callers, since a program has a crate with one set of features.

use alloc::collections::BTreeMap;
use core::num::NonZero;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::callgrind::Instructions;
use super::counted::Counted;
use super::tables::{Heap, Latency, Measured, Row, Time};
use super::{HARNESS, MEASURED, NATIVE, ONE, SLOW, TRUSTING, less_harness};
use crate::process;
use crate::project::{self, PEERS};
use crate::run::BadInput;
use crate::toolchain::Toolchain;

/// The programs.
#[derive(Debug)]
pub(super) struct Programs {
    all: PathBuf,
    /// The program with the heap [`TRUSTING`], if it is to be measured.
    trusting: Option<PathBuf>,
    /// Where their files go.
    folder: PathBuf,
}

/// The features of a program.
#[derive(Clone, Copy, Debug)]
struct Features {
    is_native: bool,
    is_trusting: bool,
}

impl Programs {
    /// Builds the programs that have the wanted heaps; all heaps are if none is named.
    ///
    /// # Errors
    /// If one cannot be built.
    pub(super) fn build(toolchain: &Toolchain, is_native: bool, wanted: &[String]) -> Result<Self> {
        let folder = project::target_of("peers");
        let is_wanted = wanted.is_empty() || wanted.iter().any(|heap| heap == TRUSTING);
        let trusting = is_wanted.then(|| {
            let features = Features {
                is_native: false,
                is_trusting: true,
            };
            build(toolchain, &folder, features)
        });
        let features = Features {
            is_native,
            is_trusting: false,
        };
        Ok(Self {
            trusting: trusting.transpose()?,
            all: build(toolchain, &folder, features)?,
            folder,
        })
    }

    /// The program that has a heap.
    fn of(&self, heap: &str) -> &Path {
        let trusting = self.trusting.as_deref().filter(|_| heap == TRUSTING);
        trusting.unwrap_or(&self.all)
    }

    /// Heaps and rows to be measured, and by which programs.
    ///
    /// # Errors
    /// If a wanted heap is none, or a program does not end well.
    pub(super) fn describe(&self, toolchain: &Toolchain, wanted: &[String]) -> Result<Measured> {
        let lock = fs::read_to_string(project::root().join(PEERS).join("Cargo.lock"))?;
        let mut names = lines(&self.all, "heaps", "heap ")?;
        if let Some(trusting) = &self.trusting {
            let own = lines(trusting, "heaps", "heap ")?;
            let own = own.into_iter().find(|line| is_of(line, TRUSTING));
            let beside = names.iter().position(|line| is_of(line, ONE));
            let (own, beside) = own.zip(beside).context("a program lacks a heap")?;
            names.insert(beside + 1, own);
        }
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
            let others = [HARNESS, TRUSTING];
            let names = names.filter(|name| !others.contains(name) && !NATIVE.contains(name));
            let names: Vec<_> = names.chain([TRUSTING]).chain(NATIVE).collect();
            let names = names.join(", ");
            bail!(BadInput(format!(
                "there is no heap {unknown}; the heaps are: {names}"
            )));
        }
        let rows = lines(&self.all, "rows", "row ")?;
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

    /// Counts every heap's instructions in every row, several runs at once.
    ///
    /// # Errors
    /// If a run does not end well.
    pub(super) fn count_all(&self, heaps: &[Heap], rows: &[Row]) -> Result<Counted> {
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
        command.arg(self.of(heap)).args(["count", heap, row]);
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

    /// Times of the heaps. That of the other program comes afterwards.
    ///
    /// # Errors
    /// If a program does not end well.
    pub(super) fn times(&self, heaps: &[Heap], rounds: u32) -> Result<Vec<Time>> {
        eprintln!("peers: times, {rounds} rounds of each heap with 1, 2 and 4 threads");
        let names = heaps.iter().map(|heap| heap.name.as_str());
        let (own, others): (Vec<_>, Vec<_>) = names.partition(|name| *name == TRUSTING);
        let mut times = Vec::new();
        for (program, names) in [(Some(&self.all), others), (self.trusting.as_ref(), own)] {
            let Some(program) = program.filter(|_| !names.is_empty()) else {
                continue;
            };
            let mut command = Command::new(program);
            command.arg("times").arg(rounds.to_string()).args(names);
            times.extend(printed(command, Time::read)?);
        }
        Ok(times)
    }

    /// Times of single allocations of the heaps, but for those that search. Frees alone are others
    /// where callers are trusted, so that heap is left out, too.
    ///
    /// # Errors
    /// If the program does not end well.
    pub(super) fn latencies(&self, heaps: &[Heap], processes: u32) -> Result<Vec<Latency>> {
        eprintln!("peers: times of single allocations, in {processes} processes");
        let mut command = Command::new(&self.all);
        command.arg("latency").arg(processes.to_string());
        let names = heaps.iter().map(|heap| heap.name.as_str());
        command.args(names.filter(|name| *name != TRUSTING && !SLOW.contains(name)));
        printed(command, Latency::read)
    }

    /// Writes the tables and the page, and says where they are.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn draw(&self, measured: &Measured, markdown: &str) -> Result<()> {
        let [tables, lines, page] =
            ["peers.md", "figures.txt", "peers.html"].map(|name| self.folder.join(name));
        fs::write(&tables, markdown)?;
        fs::write(&lines, measured.lines())?;
        let mut draw = Command::new(&self.all);
        draw.arg("page").arg(&lines).arg(&page);
        process::output_of(&mut draw)
            .with_context(|| format!("`{}` failed", process::describe(&draw)))?;
        println!("tables: {}\npage:   {}", tables.display(), page.display());
        Ok(())
    }
}

/// Builds a program, and returns where it is.
fn build(toolchain: &Toolchain, folder: &Path, features: Features) -> Result<PathBuf> {
    let Features {
        is_native,
        is_trusting,
    } = features;
    let what = match (is_trusting, is_native) {
        (true, _) => "the heap that trusts its callers",
        (_, true) => "the heaps (C and C++ ones take minutes the first time)",
        _ => "the heaps",
    };
    eprintln!("peers: building {what}");
    let mut build = toolchain.cargo("build");
    build.current_dir(project::root().join(PEERS));
    build
        .args(["--release", "--locked", "--target-dir"])
        .arg(folder);
    if !is_native {
        build.arg("--no-default-features");
    }
    if is_trusting {
        build.args(["--features", "trusting"]);
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
    let built = folder.join("release/peers");
    if !is_trusting {
        return Ok(built);
    }
    // The next build puts another program there.
    let kept = folder.join("release").join("peers-trusting");
    fs::copy(&built, &kept).with_context(|| kept.display().to_string())?;
    Ok(kept)
}

/// The lines that a program prints with `prefix`, without it.
fn lines(program: &Path, command: &str, prefix: &str) -> Result<Vec<String>> {
    let text = process::output_of(Command::new(program).arg(command));
    let text = text.with_context(|| format!("`{} {command}` failed", program.display()))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    Ok(lines.map(str::to_owned).collect())
}

/// Whether a line of a heap, its name and its package, is that of `name`.
fn is_of(line: &str, name: &str) -> bool {
    line.split_once(' ').is_some_and(|(first, _)| first == name)
}

/// The lines that a program prints and that `read` understands. Its progress goes to the standard
/// error.
fn printed<T>(mut command: Command, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let finished = process::run(&mut command, None, |line| {
        if ["times: ", "latency: "]
            .iter()
            .any(|word| line.starts_with(word))
        {
            eprintln!("peers: {line}");
        }
    })?;
    if !finished.ending.success() {
        let lines = finished.lines.join("\n");
        bail!("`{}` failed:\n{lines}", process::describe(&command));
    }
    Ok(finished
        .lines
        .iter()
        .filter_map(|line| read(line))
        .collect())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
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
    use super::version;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"talc-api\"\nversion = \"1.0\"\n\n[[package]]\n\
            name = \"talc\"\nversion = \"5.1.1\"\ndependencies = []\n";
        assert_eq!(version(lock, "talc").as_deref(), Some("5.1.1"));
        assert_eq!(version(lock, "tal"), None);
    }
}
