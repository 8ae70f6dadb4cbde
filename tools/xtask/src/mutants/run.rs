//! Tests of programs with switches: each change is on in turn, for the tests that come by it.

use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::copy::Built;
use crate::process;

/// The byte that a program writes for a change that it came by.
const SEEN: u8 = 3;

/// Seconds of the tests that are run together, at first: most changes are found by tests that are
/// brief.
const STRETCHES: [f64; 3] = [0.25, 2.0, 6.0];
/// Seconds of the tests that are run together in the end.
const LAST_STRETCH: f64 = 15.0;

/// The most tests that are named at once.
const MOST_TESTS: usize = 250;

/// A test of a program.
#[derive(Clone, Debug)]
pub(super) struct Test {
    program: usize,
    name: String,
    time: Duration,
}

/// The fate of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A test failed, or its program did.
    Found,
    /// No test ended for a long time.
    Hung,
    /// All tests passed, or none came by.
    Missed,
}

/// The tests that come by each of `count` changes, the briefest first.
///
/// # Errors
/// If a test fails, or cannot be run.
pub(super) fn tests(built: &Built, folder: &Path, count: usize) -> Result<Vec<Vec<Test>>> {
    let mut tests = vec![Vec::new(); count];
    let seen = folder.join("seen");
    for (program, path) in built.programs.iter().enumerate() {
        let mut list = command(built, program);
        let list = list.args(["--list", "--format", "terse"]);
        let list = process::output_of(list);
        let list = list.with_context(|| format!("{} lists no tests", path.display()))?;
        let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
        let mut of_program = 0;
        for name in names {
            let start = Instant::now();
            let mut run = command(built, program);
            let output = run
                .args(["--exact", name, "--test-threads", "1"])
                .env("CHANGES_SEEN", &seen)
                .output()?;
            if !output.status.success() {
                bail!(
                    "the test {name} of {} fails without a change",
                    path.display()
                );
            }
            let test = Test {
                program,
                name: name.to_owned(),
                time: start.elapsed(),
            };
            let states = fs::read(&seen).context("a test leaves no list of changes")?;
            for (tests, _) in tests
                .iter_mut()
                .zip(states)
                .filter(|(_, state)| *state == SEEN)
            {
                tests.push(test.clone());
            }
            of_program += 1;
        }
        println!("{of_program} tests of {}", path.display());
    }
    for tests in &mut tests {
        tests.sort_by_key(|test| test.time);
    }
    Ok(tests)
}

/// Runs `tests` with change `number` on until one fails.
///
/// # Errors
/// If a program cannot be run.
pub(super) fn try_change(built: &Built, number: usize, tests: &[Test]) -> Result<Fate> {
    for stretch in stretches(tests) {
        for program in 0..built.programs.len() {
            let of_program = stretch.iter().filter(|test| test.program == program);
            let names: Vec<_> = of_program.map(|test| test.name.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            let longest = stretch
                .iter()
                .map(|test| test.time)
                .max()
                .unwrap_or_default();
            let mut run = command(built, program);
            let run = run
                .arg("--exact")
                .args(names)
                .env("CHANGE", number.to_string());
            let fate = watch(run, Duration::from_secs(5) + 8 * longest)?;
            if fate != Fate::Missed {
                return Ok(fate);
            }
        }
    }
    Ok(Fate::Missed)
}

fn command(built: &Built, program: usize) -> Command {
    let mut command = Command::new(&built.programs[program]);
    command.current_dir(&built.root).env("RUST_BACKTRACE", "0");
    command
}

/// The tests in stretches of some seconds, few at first.
fn stretches(tests: &[Test]) -> Vec<&[Test]> {
    let mut found = Vec::new();
    let mut rest = tests;
    while !rest.is_empty() {
        let most = STRETCHES.get(found.len()).unwrap_or(&LAST_STRETCH);
        let mut seconds = 0.0;
        let fits = |test: &&Test| {
            let has_room = seconds < *most;
            seconds += test.time.as_secs_f64();
            has_room
        };
        let count = rest.iter().take(MOST_TESTS).take_while(fits).count();
        let (stretch, others) = rest.split_at(count.max(1));
        found.push(stretch);
        rest = others;
    }
    found
}

/// Runs a test program until a test fails, the program ends, or no test has ended for so long.
fn watch(command: &mut Command, patience: Duration) -> Result<Fate> {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("a test program does not start")?;
    let output = child
        .stdout
        .take()
        .context("a test program prints nothing")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        // Whoever has seen enough hangs up.
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines
            .take_while(|line| sender.send(line.clone()).is_ok())
            .count()
    });
    loop {
        match lines.recv_timeout(patience) {
            Ok(line) if line.starts_with("test ") && line.ends_with("FAILED") => {
                end(&mut child)?;
                return Ok(Fate::Found);
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => {
                end(&mut child)?;
                return Ok(Fate::Hung);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(if child.wait()?.success() {
                    Fate::Missed
                } else {
                    Fate::Found
                });
            }
        }
    }
}

fn end(child: &mut Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(millis: u64) -> Test {
        Test {
            program: 0,
            name: "a_test".to_owned(),
            time: Duration::from_millis(millis),
        }
    }

    #[test]
    fn stretches_hold_all_tests_in_turn() {
        assert!(stretches(&[]).is_empty());
        let tests = [200, 200, 200, 1000, 1000, 40_000, 40_000].map(test);
        let lengths: Vec<_> = stretches(&tests).iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [2, 3, 1, 1]);
        let many = vec![test(0); 600];
        let lengths: Vec<_> = stretches(&many).iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [250, 250, 100]);
    }

    #[test]
    fn a_program_is_watched_to_its_end() {
        let fate = |script: &str| {
            let mut command = Command::new("sh");
            let fate = watch(command.args(["-c", script]), Duration::from_millis(300));
            fate.expect("there is a shell")
        };
        assert_eq!(fate("echo test a ... ok"), Fate::Missed);
        assert_eq!(fate("echo test a ... ok; exit 3"), Fate::Found);
        assert_eq!(fate("echo test a ... FAILED; sleep 60"), Fate::Found);
        assert_eq!(fate("echo test a ... ok; sleep 60"), Fate::Hung);
    }
}
