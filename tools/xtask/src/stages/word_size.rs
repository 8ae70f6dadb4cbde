//! A part of the host's tests on words of 32 bits and in the other byte order: as programs of the
//! host, and interpreted by Miri. `cargo xtask i686` and `cargo xtask miri --target` run more.
//! Threads under ThreadSanitizer, which have a build folder of their own, too, run after those.

use std::process::Command;
use std::thread::{self, JoinHandle};

use super::cargo_test::{self, Ran};
use crate::miri::{self, BIG_ENDIAN, BIG_ENDIAN_32, FIRMWARE};
use crate::report::Stage;
use crate::setup::Install;
use crate::toolchain::Toolchain;
use crate::tsan;
use crate::word_size::{self, BITMAP, HOSTED_32};

/// The programs that depend most on the width of a word.
const ON_32_BITS: &[&str] = &["--lib", "--test", "heap", "--test", "global_alloc"];

/// A program of tests that Miri interprets.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// Heaps without a bitmap.
    Heap,
    /// Heaps with a bitmap.
    Scannable,
    /// Threads that use a firmware heap.
    Firmware,
}

/// The tests that Miri interprets in about a minute, of heaps without a bitmap and with one: every
/// layer, a few requests of each kind; and of firmware heaps, for data races. One target has words
/// of 64 bits and the other words of 32; little-endian words of 32 bits are those of [`HOSTED_32`].
const INTERPRETED: &[(&str, Program, &[&str])] = &[
    (
        BIG_ENDIAN,
        Program::Heap,
        &[
            "small::no_grow_is_served",
            "plain31::sizes_of_one_class",
            "small::contents_survive",
        ],
    ),
    (BIG_ENDIAN_32, Program::Scannable, SCANNABLE),
    (
        BIG_ENDIAN,
        Program::Firmware,
        &[
            "a_heap_without_memory_is_used_from_anywhere",
            "a_call_during_initialisation_finds",
            "of_two_initialisations_at_once",
            "a_visitor_may_use_the_heap",
        ],
    ),
];

/// Of the bitmap's tests those that compare with an independent result, each way once.
const SCANNABLE: &[&str] = &[
    "bits::tests::contention",
    "bits::tests::cursor::a_step_up_to_the_boundary",
    "bits::tests::faults::without_a_fault",
    "bits::tests::write::what_was_described_is_what_the_cursor",
    "objects::small::interior_addresses",
];

/// Tests that Miri interprets on one target, or that the sanitizer watches.
#[derive(Debug)]
struct Interpreted {
    name: String,
    /// How many tests there are.
    tests: usize,
    command: Command,
}

/// Runs of Miri and of the sanitizer beside other stages, one after the other: each keeps one CPU
/// busy, and has a build folder of its own.
#[derive(Debug)]
pub(super) struct Beside {
    runs: JoinHandle<Vec<(Interpreted, Ran)>>,
    /// The targets that Miri cannot be had for, or the sanitizer, and the reasons.
    skipped: Vec<(&'static str, anyhow::Error)>,
}

/// Starts Miri, and threads under ThreadSanitizer.
pub(super) fn interpret(toolchain: &Toolchain, install: Install) -> Beside {
    let mut all = Vec::new();
    let mut skipped = Vec::new();
    for (target, program, tests) in INTERPRETED {
        let mut command = match miri::interpreted(Some(target), install) {
            Ok(command) => command,
            Err(error) => {
                skipped.push((*target, error));
                continue;
            }
        };
        let with = match program {
            Program::Heap => {
                command.args(["--package", "archipelago", "--test", "heap"]);
                ""
            }
            Program::Scannable => {
                command.args(BITMAP).arg("--lib");
                " with a heap bitmap"
            }
            Program::Firmware => {
                command.args(FIRMWARE);
                " with firmware heaps"
            }
        };
        command.arg("--").args(*tests);
        all.push(Interpreted {
            name: format!("{target}{with}, interpreted"),
            tests: tests.len(),
            command,
        });
    }
    match tsan::sanitized(toolchain, install) {
        Ok(command) => all.push(Interpreted {
            name: "threads under ThreadSanitizer".to_owned(),
            tests: tsan::TESTS,
            command,
        }),
        Err(error) => skipped.push(("ThreadSanitizer", error)),
    }
    let runs = thread::spawn(move || {
        let follow = |mut one: Interpreted| {
            let ran = Ran::follow(one.tests, &mut one.command, |_, _| ());
            (one, ran)
        };
        all.into_iter().map(follow).collect()
    });
    Beside { runs, skipped }
}

/// Runs the tests as programs of the host, and counts those that Miri has run.
pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, install: Install, beside: Beside) {
    match word_size::hosted_32(toolchain, install) {
        Ok(mut command) => {
            command.args(["--package", "archipelago"]).args(ON_32_BITS);
            cargo_test::follow(1, stage, HOSTED_32, &mut command);
        }
        Err(error) => stage.skip(HOSTED_32, &format!("{error:#}")),
    }
    if let Ok(mut command) = word_size::hosted_32(toolchain, Install::Never) {
        command.args(BITMAP);
        let name = format!("{HOSTED_32} with a heap bitmap");
        cargo_test::follow(1, stage, &name, &mut command);
    }
    for (target, error) in beside.skipped {
        stage.skip(target, &format!("{error:#}"));
    }
    let Ok(runs) = beside.runs.join() else {
        println!("  Miri: FAILED: the thread that ran it ended");
        return stage.count(0, 1);
    };
    for (one, ran) in runs {
        let seconds = ran.elapsed.as_secs_f64();
        let outcome = ran.counts.outcome();
        println!(
            "  {}: {outcome} ({seconds:.1} s, beside other stages)",
            one.name
        );
        ran.count_in(stage, &one.name, &one.command);
    }
}
