//! `cargo xtask bench peers`: the heap in a process beside other heaps.
//!
//! The program `tools/peers` has them all, and, built once more, the heap with the feature
//! `trusting`. Instructions are counted by callgrind, one run for each heap and row, in the
//! function that makes the requests to be measured; those of a heap that does nothing are taken
//! off. Times are measured afterwards, with nothing beside them.

mod callgrind;
mod counted;
mod program;
mod tables;

use alloc::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::figures::{Figures, Judgement, Number, Stale};
use crate::project;
use crate::setup::{self, Install, Needs};
use crate::toolchain::Toolchain;
use callgrind::Instructions;
use counted::{Cell, Counted, TOLERANCE};
use program::Programs;
use tables::Measured;

/// The heap that does nothing.
const HARNESS: &str = "null";

/// The function in which requests are measured.
const MEASURED: &str = "archipelago_measured";

/// The heaps that need a C or a C++ compiler.
const NATIVE: [&str; 3] = ["mimalloc", "snmalloc", "jemalloc"];

/// The heap that one thread uses.
const ONE: &str = "archipelago-one";

/// The heap of one thread with the feature `trusting`, in a program of its own.
const TRUSTING: &str = "archipelago-trusting";

/// The heaps that search for memory: a million calls take them minutes.
const SLOW: [&str; 2] = ["linked_list", "buddy"];

/// Processes whose single allocations are timed.
const PROCESSES: u32 = 5;

/// The part of the README's figures that are committed ones.
pub(crate) const PART: &str = "peers";

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
    let programs = Programs::build(&toolchain, is_native, &options.heaps)?;
    let mut measured = programs.describe(&toolchain, &options.heaps)?;
    measured.counted = programs.count_all(&measured.heaps, &measured.rows)?;
    let is_short = options.check || options.rounds == 0;
    if !is_short {
        measured.times = programs.times(&measured.heaps, options.rounds)?;
        measured.latencies = programs.latencies(&measured.heaps, PROCESSES)?;
    }
    // What the harness costs is a row of the times alone.
    measured.heaps.retain(|heap| heap.name != HARNESS);
    let markdown = measured.markdown();
    println!("{markdown}");
    if !is_short {
        programs.draw(&measured, &markdown)?;
    }
    if options.check || writes {
        return conclude(&toolchain, &measured, writes);
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares with the committed figures, or commits these, and writes those of them that the README
/// has into it.
fn conclude(toolchain: &Toolchain, measured: &Measured, writes: bool) -> Result<ExitCode> {
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
        let is_complete = |name: &str| name == PART;
        let judgement = Judgement::of(toolchain, &committed()?, is_complete)?;
        return judgement.conclude("bench peers --check", Stale { write: true });
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

/// The committed figures, as figures of the README.
///
/// # Errors
/// If they cannot be read.
pub(crate) fn committed() -> Result<Figures> {
    let file = project::root().join(COMMITTED);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut figures = Figures::default();
    for (row, heap, cell) in Counted::read(&text)?.cells() {
        figures.add(PART, row, heap, Number::exact(cell.own));
    }
    Ok(figures)
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

#[cfg(test)]
mod tests {
    use super::tables::Heap;
    use super::*;
    use crate::project::PEERS;

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
    fn every_heap_with_a_name_here_is_one_that_the_program_has() {
        let heaps = fs::read_to_string(project::root().join(PEERS).join("src/heaps.rs"));
        let heaps = heaps.expect("the heaps");
        for name in NATIVE.into_iter().chain(SLOW).chain([HARNESS]) {
            assert!(heaps.contains(&format!("\"{name}\",")), "{name}");
        }
        for name in [ONE, TRUSTING] {
            assert!(heaps.contains(&format!("\"{name}\"\n")), "{name}");
        }
        let committed = fs::read_to_string(project::root().join(COMMITTED)).expect("figures");
        assert_ne!(
            Counted::read(&committed).expect("figures"),
            Counted::default()
        );
    }
}
