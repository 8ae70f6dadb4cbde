//! `cargo xtask stack`: the stack that the heap uses, on every machine with an MMU.

use core::time::Duration;
use std::process::ExitCode;

use anyhow::Result;

use crate::figures::{Figures, Judgement, Stale};
use crate::kernels::STACK;
use crate::machine::{self, Machine};
use crate::process::Finished;
use crate::qemu::{Boot, Verdict};
use crate::run::{self, Profile};
use crate::setup::Install;
use crate::toolchain::Toolchain;

/// The profiles that are measured, by the names that the lines have for them.
const PROFILES: [(&str, Profile); 3] = [
    ("level-0", Profile::Unoptimized),
    ("level-1", Profile::Checked),
    ("release", Profile::Optimized),
];

/// The part that these bytes are in as figures.
const PART: &str = "stack";

/// Measures the stack, and prints a line for each call.
///
/// # Errors
/// If something is missing or cannot be built. A bound that is broken, and a figure of the README
/// that is another than was measured, become the exit code.
pub(crate) fn command(stale: Stale, install: Install) -> Result<ExitCode> {
    let (toolchain, measured) = measure(install)?;
    let judgement = Judgement::of(&toolchain, &measured.figures, |part| part == PART)?;
    let concluded = judgement.conclude(PART, stale)?;
    Ok(if measured.kept {
        concluded
    } else {
        ExitCode::FAILURE
    })
}

/// The stack of every call on every machine with an MMU.
///
/// # Errors
/// If something is missing or cannot be built.
pub(crate) fn measure_all(install: Install) -> Result<Figures> {
    Ok(measure(install)?.1.figures)
}

/// Bytes of stack, and whether all bounds were kept.
#[derive(Debug)]
struct Measured {
    figures: Figures,
    kept: bool,
}

fn measure(install: Install) -> Result<(Toolchain, Measured)> {
    let machines: Vec<_> = machine::all().filter(|machine| machine.has_mmu).collect();
    let toolchain = run::needs(&machines).ensure(install)?;
    let mut figures = Figures::default();
    let mut kept = true;
    for machine in machines {
        for (profile_name, profile) in PROFILES {
            let kernel = run::prepare(&toolchain, machine, profile, STACK)?;
            let boot = Boot {
                machine,
                kernel,
                cpus: 1,
                memory: machine.memory(None),
                module: None,
                command_line: String::new(),
                count_instructions: false,
                limit: Duration::from_secs(120),
            };
            let finished = boot.run(|_| ())?;
            add(&mut figures, machine, profile_name, &finished.lines);
            kept &= report(machine, profile_name, &finished);
        }
    }
    Ok((toolchain, Measured { figures, kept }))
}

/// Adds the figures of a kernel.
fn add(figures: &mut Figures, machine: &Machine, profile: &str, lines: &[String]) {
    for (call, bytes) in lines.iter().filter_map(|line| figure(line)) {
        let column = format!("{profile}~{call}");
        figures.count(PART, machine.name, &column, bytes);
    }
}

/// Adds the figures of a kernel that was compiled as those of the tests are.
pub(crate) fn add_checked(figures: &mut Figures, machine: &Machine, lines: &[String]) {
    let profile = PROFILES.iter().find(|(_, one)| *one == Profile::Checked);
    if let Some((name, _)) = profile {
        add(figures, machine, name, lines);
    }
}

/// Prints the kernel's figures; `false` if it failed, and then what it said.
fn report(machine: &Machine, profile: &str, finished: &Finished) -> bool {
    for (call, bytes) in finished.lines.iter().filter_map(|line| figure(line)) {
        println!("stack {} {profile} {call} {bytes}", machine.name);
    }
    let verdict = Verdict::of(finished.ending, &finished.lines);
    let kept = matches!(verdict, Verdict::Passed { .. });
    if !kept {
        let said = finished.lines.iter().filter(|line| figure(line).is_none());
        said.for_each(|line| println!("{line}"));
        println!("broken: {} {profile}: {verdict}", machine.name);
    }
    kept
}

/// The call and the bytes of a line with a figure.
fn figure(line: &str) -> Option<(String, u64)> {
    let (call, bytes) = line.strip_prefix("# stack ")?.split_once(": ")?;
    let bytes = bytes.strip_suffix(" bytes")?.parse().ok()?;
    Some((call.replace(", ", "-"), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Ending;
    use crate::qemu::{FAIL, PASS};

    #[test]
    fn a_line_with_a_figure_is_read() {
        let read = |line| figure(line);
        assert_eq!(
            read("# stack allocate, large: 72 bytes"),
            Some(("allocate-large".to_owned(), 72))
        );
        assert_eq!(read("# init used 72 bytes of stack"), None);
    }

    #[test]
    fn a_kernel_that_fails_breaks_a_bound() {
        let machine = machine::all().next().expect("there is one");
        let lines = ["1..1", "ok 1 - init"].map(String::from).to_vec();
        for (code, kept) in [(PASS, true), (FAIL, false)] {
            let finished = Finished {
                ending: Ending::Exit(code),
                lines: lines.clone(),
            };
            assert_eq!(report(machine, "level-0", &finished), kept);
        }
    }
}
