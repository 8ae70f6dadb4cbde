//! Booting a kernel under QEMU, and judging how it ended.

mod block;

use core::fmt;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::machine::{Loading, Machine, MemorySize};
use crate::process::{self, Ending, Finished};

/// QEMU's exit codes, as the kernels set them. A reset ends QEMU with 0.
pub(crate) const PASS: i32 = 33;
pub(crate) const FAIL: i32 = 35;
const RESET: i32 = 0;

/// A boot of a kernel.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) kernel: PathBuf,
    pub(crate) memory: MemorySize,
    /// CPUs.
    pub(crate) cpus: u32,
    /// A file that the kernel finds as its module.
    pub(crate) module: Option<&'a Path>,
    /// The kernel's command line, without the module's length and sum.
    pub(crate) command_line: String,
    /// Let virtual time follow the instructions, so that the kernel can count them.
    pub(crate) count_instructions: bool,
    pub(crate) limit: Duration,
}

impl Boot<'_> {
    /// Boots the kernel and waits for its end, within the limit.
    ///
    /// # Errors
    /// If QEMU cannot be started, the module cannot be read or the boot block not be written.
    pub(crate) fn run(&self, on_line: impl FnMut(&str)) -> Result<Finished> {
        let mut command = self.machine.command(self.memory);
        command.arg("-kernel").arg(&self.kernel);
        if self.cpus != 1 {
            command.args(["-smp", &self.cpus.to_string()]);
        }
        // Removed when QEMU has ended.
        let _block = self.load(&mut command)?;
        if self.count_instructions {
            let shift = self.machine.icount_shift;
            command.args(["-icount", &format!("shift={shift},sleep=off")]);
        }
        process::run(&mut command, Some(self.limit), on_line)
    }

    /// Adds the arguments that bring command line and module to the kernel.
    fn load(&self, command: &mut Command) -> Result<Option<block::File>> {
        let module = self.module.map(|file| {
            let bytes = fs::read(file).with_context(|| format!("{}", file.display()))?;
            Ok::<_, anyhow::Error>((file, bytes))
        });
        let module = module.transpose()?;
        let mut words = self.command_line.clone();
        if let Some((_, bytes)) = &module {
            let sum: u64 = bytes.iter().copied().map(u64::from).sum();
            words = format!("{words} bytes={} sum={sum}", bytes.len());
        }
        let words = words.trim_start();
        match self.machine.loading {
            Loading::Pvh => {
                if let Some((file, _)) = module {
                    command.arg("-initrd").arg(file);
                }
                if !words.is_empty() {
                    command.args(["-append", words]);
                }
                Ok(None)
            }
            Loading::Block { .. } if words.is_empty() => Ok(None),
            Loading::Block { address } => {
                let module = module.as_ref().map(|(_, bytes)| &bytes[..]);
                let block = block::File::write(&block::build(words, module)?)?;
                let loader = format!(
                    "loader,file={},addr={address:#x},force-raw=on",
                    block.path().display()
                );
                command.args(["-device", &loader]);
                Ok(Some(block))
            }
        }
    }
}

/// The verdict on a kernel that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every announced test passed, and the kernel says so.
    Passed {
        tests: u64,
    },
    /// The kernel says that it failed.
    Failed {
        tests: u64,
        passed: u64,
    },
    /// The kernel says that it passed, but its lines say otherwise.
    ShortPlan {
        tests: u64,
        passed: u64,
    },
    /// The machine reset itself: a triple fault.
    Reset,
    TimedOut,
    /// QEMU ended in a way of its own.
    Broken(Ending),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed { tests } => write!(f, "{tests} passed"),
            Self::Failed { tests, passed } => write!(f, "failed, {passed} of {tests} passed"),
            Self::ShortPlan { tests, passed } => {
                write!(f, "says it passed, but {passed} of {tests} tests did")
            }
            Self::Reset => write!(f, "the machine reset itself"),
            Self::TimedOut => write!(f, "ran out of time"),
            Self::Broken(Ending::Exit(code)) => write!(f, "QEMU ended with exit code {code}"),
            Self::Broken(ending) => write!(f, "QEMU ended: {ending:?}"),
        }
    }
}

impl Verdict {
    /// Tests announced and tests passed, as far as the kernel got to say.
    pub(crate) fn counts(&self) -> (u64, u64) {
        match *self {
            Self::Passed { tests } => (tests, tests),
            Self::Failed { tests, passed } | Self::ShortPlan { tests, passed } => (tests, passed),
            Self::Reset | Self::TimedOut | Self::Broken(_) => (0, 0),
        }
    }

    /// Judges a kernel that runs tests by its exit code and its lines.
    pub(crate) fn of(ending: Ending, lines: &[String]) -> Self {
        let tests = lines
            .iter()
            .find_map(|line| line.strip_prefix("1..")?.parse().ok());
        let tests = tests.unwrap_or(0);
        let passed = passed_in_order(lines);
        match ending {
            Ending::Exit(PASS) if passed == tests && tests > 0 => Self::Passed { tests },
            Ending::Exit(PASS) => Self::ShortPlan { tests, passed },
            Ending::Exit(FAIL) => Self::Failed { tests, passed },
            Ending::Exit(RESET) => Self::Reset,
            Ending::TimedOut => Self::TimedOut,
            Ending::Exit(_) | Ending::Killed => Self::Broken(ending),
        }
    }
}

/// How many tests passed, as far as their numbers go up by one from 1.
fn passed_in_order(lines: &[String]) -> u64 {
    let numbers = lines.iter().filter_map(|line| {
        let (number, _) = line.strip_prefix("ok ")?.split_once(" - ")?;
        number.parse::<u64>().ok()
    });
    numbers.fold(
        0,
        |last, number| if number == last + 1 { number } else { last },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ending: Ending, text: &str) -> Verdict {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        Verdict::of(ending, &lines)
    }

    const TWO: &str = "1..2\nok 1 - a\n# why\nok 2 - b";

    #[test]
    fn a_pass_needs_the_exit_code_and_every_test() {
        assert_eq!(
            verdict(Ending::Exit(PASS), TWO),
            Verdict::Passed { tests: 2 }
        );
        let short = Verdict::ShortPlan {
            tests: 2,
            passed: 1,
        };
        assert_eq!(verdict(Ending::Exit(PASS), "1..2\nok 1 - a"), short);
        assert_eq!(
            verdict(Ending::Exit(PASS), "1..2\nok 1 - a\nok 1 - a"),
            short
        );
        assert_eq!(
            verdict(Ending::Exit(PASS), ""),
            Verdict::ShortPlan {
                tests: 0,
                passed: 0
            },
            "a silent kernel has tested nothing"
        );
    }

    #[test]
    fn only_the_kernels_own_code_counts_as_failed() {
        let failed = Verdict::Failed {
            tests: 2,
            passed: 1,
        };
        assert_eq!(
            verdict(Ending::Exit(FAIL), "1..2\nok 1 - a\nnot ok 2 - b"),
            failed
        );
        assert_eq!(verdict(Ending::Exit(RESET), TWO), Verdict::Reset);
        assert_eq!(verdict(Ending::TimedOut, TWO), Verdict::TimedOut);
        for ending in [Ending::Exit(1), Ending::Exit(134), Ending::Killed] {
            assert_eq!(verdict(ending, TWO), Verdict::Broken(ending));
        }
    }
}
