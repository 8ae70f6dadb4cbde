//! `cargo xtask stack`: the stack that the heap uses, on every machine with an MMU.

use core::time::Duration;
use std::process::ExitCode;

use anyhow::Result;

use crate::kernels::STACK;
use crate::machine::{self, Machine};
use crate::process::Finished;
use crate::qemu::{Boot, Verdict};
use crate::run::{self, Profile};
use crate::setup::Install;

/// The profiles that are measured, by the names that the lines have for them.
const PROFILES: [(&str, Profile); 3] = [
    ("level-0", Profile::Unoptimized),
    ("level-1", Profile::Checked),
    ("release", Profile::Optimized),
];

/// Measures the stack, and prints a line for each call.
///
/// # Errors
/// If something is missing or cannot be built. A bound that is broken becomes the exit code.
pub(crate) fn command(install: Install) -> Result<ExitCode> {
    let machines: Vec<_> = machine::all().filter(|machine| machine.has_mmu).collect();
    let toolchain = run::needs(&machines).ensure(install)?;
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
            kept &= report(machine, profile_name, &boot.run(|_| ())?);
        }
    }
    Ok(if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the kernel's figures; `false` if it failed, and then what it said.
fn report(machine: &Machine, profile: &str, finished: &Finished) -> bool {
    for line in finished.lines.iter().filter_map(|line| figure(line)) {
        println!("stack {} {profile} {line}", machine.name);
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
fn figure(line: &str) -> Option<String> {
    let (call, bytes) = line.strip_prefix("# stack ")?.split_once(": ")?;
    let bytes = bytes.strip_suffix(" bytes")?;
    Some(format!("{} {bytes}", call.replace(", ", "-")))
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
            read("# stack allocate, large: 72 bytes").as_deref(),
            Some("allocate-large 72")
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
