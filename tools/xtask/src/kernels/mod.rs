//! The kernels that the test runs, and how each of them has to end.

mod list;

use core::time::Duration;

pub(crate) use list::{EXAMPLES, KERNELS, SCANNABLE_OBJECTS, SMP, STACK};

use crate::machine::{Machine, Memory, MemorySize};
use crate::qemu::Verdict;

/// Starts a line in which a kernel that has to fail announces what its report has to say.
const MUST_SAY: &str = "must say: ";

/// How a kernel has to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// Every test passes.
    Pass,
    /// The kernel reports a failure, in a line that contains this text. Each text that the kernel
    /// announced is in a line, too: addresses differ from machine to machine.
    Failure(&'static str),
    /// The kernel never ends.
    Hang,
    /// The kernel resets the machine.
    Reset,
    /// The kernel claims a pass, but not all of its tests ran.
    ShortPlan,
}

impl Expected {
    /// Whether a kernel with that verdict and that output ended as it has to.
    pub(crate) fn met_by(self, verdict: &Verdict, lines: &[String]) -> bool {
        match (self, verdict) {
            (Self::Pass, Verdict::Passed { .. })
            | (Self::Hang, Verdict::TimedOut)
            | (Self::Reset, Verdict::Reset)
            | (Self::ShortPlan, Verdict::ShortPlan { .. }) => true,
            (Self::Failure(says), Verdict::Failed { .. }) => {
                let announced = lines.iter().filter_map(|line| line.strip_prefix(MUST_SAY));
                announced.chain([says]).all(|text| is_said(text, lines))
            }
            _ => false,
        }
    }
}

/// Whether a line contains the text, those not counted that announce it.
fn is_said(text: &str, lines: &[String]) -> bool {
    let mut said = lines.iter().filter(|line| !line.starts_with(MUST_SAY));
    said.any(|line| line.contains(text))
}

/// The machines that a kernel runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    All,
    /// Machines with an MMU.
    Mmu,
    /// Machines of as many CPUs as the kernel has.
    Smp,
    /// Machines that share this module of the kernels' library.
    Code(&'static str),
}

/// A boot of a kernel: a program with the heap, and the memory and files that it gets.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// The package that it is a program of.
    pub(crate) package: &'static str,
    pub(crate) expected: Expected,
    pub(crate) on: On,
    /// The feature that it is built with, if it needs one.
    pub(crate) feature: Option<&'static str>,
    /// The memory sizes to run it with, in MiB, where a machine has as much as it is told. Machines
    /// but x86_64 make do with the first one of them.
    pub(crate) memory_mib: &'static [u64],
    /// The CPUs to run it on.
    pub(crate) cpus: u32,
    pub(crate) command_line: &'static str,
    /// A file it takes as its module, from the project's root.
    pub(crate) module: Option<&'static str>,
    /// Whether virtual time follows the instructions, so that interrupts come at the same ones in
    /// every run.
    pub(crate) counted: bool,
    /// The time limit: far above the time that the kernel takes, unless it has to run out of time.
    pub(crate) limit: Duration,
}

impl Kernel {
    pub(crate) fn runs_on(&self, machine: &Machine) -> bool {
        if !machine.kernels.is_empty() && !machine.kernels.contains(&self.name) {
            return false;
        }
        match self.on {
            On::All => true,
            On::Mmu => machine.has_mmu,
            On::Smp => machine.most_cpus >= self.cpus,
            On::Code(code) => machine.code == code,
        }
    }

    /// The memory sizes to run it with on a machine.
    pub(crate) fn memory_sizes(&self, machine: &Machine) -> Vec<MemorySize> {
        let all = match machine.memory {
            Memory::Fixed { mib } => return vec![MemorySize::from_mib(mib)],
            Memory::Chosen { .. } => self.memory_mib,
        };
        let count = if machine.name == FIRST_MACHINE {
            all.len()
        } else {
            1
        };
        all.iter()
            .take(count)
            .map(|mib| MemorySize::from_mib(*mib))
            .collect()
    }

    /// The kernel's name, with the module and the command line that it boots with.
    pub(crate) fn title(&self) -> String {
        let file = self.module.and_then(|file| file.rsplit('/').next());
        let words = [file.unwrap_or_default(), self.command_line];
        let words: Vec<_> = words.into_iter().filter(|one| !one.is_empty()).collect();
        if words.is_empty() {
            self.name.to_owned()
        } else {
            format!("{} with {}", self.name, words.join(" "))
        }
    }
}

/// The machine on which kernels run with memory of every size.
const FIRST_MACHINE: &str = "x86_64";

/// The kernel that replays traces, in tests and in `cargo xtask run`.
pub(crate) const REPLAY: &str = "replay";

/// The features that kernels need. Each has a build of its own, so that it changes no other kernel.
pub(crate) const FEATURES: [Option<&str>; 3] =
    [None, Some(SCANNABLE_OBJECTS), Some(list::CRITICAL_SECTIONS)];

/// The kernels that run on `machine` and need `feature`, the examples among them.
pub(crate) fn needing(machine: &Machine, feature: Option<&str>) -> Vec<&'static Kernel> {
    let all = KERNELS.iter().chain(EXAMPLES);
    all.filter(|kernel| kernel.feature == feature && kernel.runs_on(machine))
        .collect()
}

/// The names of the kernels, each once.
pub(crate) fn names(kernels: &[&Kernel]) -> Vec<&'static str> {
    once(kernels.iter().map(|kernel| kernel.name))
}

/// The words in alphabetical order, each once.
fn once(words: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut words: Vec<_> = words.collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The arguments of cargo that choose the kernels that run on `machine` and need `feature`; empty
/// if there are none.
pub(crate) fn choose(machine: &Machine, feature: Option<&'static str>) -> Vec<&'static str> {
    let chosen = needing(machine, feature);
    let packages = once(chosen.iter().map(|kernel| kernel.package));
    let mut which: Vec<_> = packages
        .iter()
        .flat_map(|name| ["--package", name])
        .collect();
    which.extend(names(&chosen).iter().flat_map(|name| ["--bin", name]));
    if let (Some(feature), false) = (feature, which.is_empty()) {
        which.extend(["--features", feature]);
    }
    which
}

/// Kernels that measure. They are built with a feature of their own, which no test needs.
pub(crate) const BENCH_RUNS: &str = "bench_runs";
pub(crate) const BENCH_OBJECTS: &str = "bench_objects";
pub(crate) const BENCH_SCANNABLE: &str = "bench_scannable";

/// The heap bitmap that kernels that measure are built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bitmap {
    None,
    Sparse,
    Flat,
}

impl Bitmap {
    /// The features that it takes.
    const fn features(self) -> &'static str {
        match self {
            Self::None => "bench",
            Self::Sparse => "bench,heap-bits",
            Self::Flat => "bench,flat-bits",
        }
    }
}

/// The kernels that measure on `machine`.
pub(crate) fn benches_on(machine: &Machine) -> Vec<&'static str> {
    let mut names = Vec::new();
    if machine.has_mmu {
        names.push(BENCH_OBJECTS);
    }
    // One searches heaps of up to a terabyte, the other counts requests one by one, which the
    // counters of smaller machines cannot tell apart.
    if machine.address_bits > 40 {
        names.extend([BENCH_RUNS, BENCH_SCANNABLE]);
    }
    names
}

/// The arguments of cargo that choose the kernels `names` among those that measure.
pub(crate) fn choose_benches<'a>(bitmap: Bitmap, names: &[&'a str]) -> Vec<&'a str> {
    let mut which = vec!["--features", bitmap.features()];
    which.extend(names.iter().flat_map(|name| ["--bin", name]));
    which
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_another_kind_does_not_count() {
        let failed = Verdict::Failed {
            tests: 1,
            passed: 0,
        };
        let says = [String::from("# double fault")];
        let expected = Expected::Failure("double fault");
        assert!(expected.met_by(&failed, &says));
        assert!(!expected.met_by(&failed, &[]));
        assert!(!expected.met_by(&Verdict::TimedOut, &says));
        assert!(!expected.met_by(&Verdict::Passed { tests: 1 }, &says));
        assert!(!Expected::Hang.met_by(&failed, &says));
        assert!(!Expected::Pass.met_by(&failed, &says));
    }

    #[test]
    fn what_a_kernel_announces_has_to_be_said_besides() {
        let failed = Verdict::Failed {
            tests: 1,
            passed: 0,
        };
        let says = ["must say: at 0x10", "# a fault at 0x20"].map(String::from);
        let expected = Expected::Failure("a fault");
        assert!(!expected.met_by(&failed, &says));
        let says = ["must say: at 0x10", "# a fault at 0x10"].map(String::from);
        assert!(expected.met_by(&failed, &says));
    }

    #[test]
    fn every_kernel_is_built_once() {
        for machine in crate::machine::all() {
            let mut built = Vec::new();
            for feature in FEATURES {
                let words = choose(machine, feature);
                let bins = words.windows(2).filter(|pair| pair[0] == "--bin");
                built.extend(bins.map(|pair| pair[1]));
            }
            let all = KERNELS.iter().chain(EXAMPLES);
            let ran = all.filter(|kernel| kernel.runs_on(machine));
            let mut ran: Vec<_> = ran.map(|kernel| kernel.name).collect();
            built.sort_unstable();
            ran.sort_unstable();
            ran.dedup();
            assert_eq!(built, ran, "{}", machine.name);
        }
    }

    #[test]
    fn every_kernel_is_a_file_and_every_file_a_kernel() {
        let folder = crate::project::root().join("qemu/src/bin");
        let files = std::fs::read_dir(folder).expect("the kernels' folder");
        let mut files: Vec<_> = files
            .map(|file| file.expect("an entry").path())
            .filter_map(|path| {
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned())
            })
            .collect();
        // Those that measure are booted by `bench`.
        files.retain(|file| !file.starts_with("bench_"));
        files.sort();
        let mut kernels: Vec<_> = KERNELS
            .iter()
            .map(|kernel| kernel.name.to_owned())
            .collect();
        kernels.sort();
        kernels.dedup();
        assert_eq!(files, kernels);
    }
    #[test]
    fn every_case_of_the_failures_is_booted() {
        let folder = crate::project::root().join("qemu/src/bin/failures");
        let mut cases = Vec::new();
        for file in std::fs::read_dir(folder).expect("the kernel's folder") {
            let text = std::fs::read_to_string(file.expect("an entry").path());
            let text = text.expect("a source file");
            let names = text.lines().filter_map(|line| {
                let name = line.trim().strip_prefix("name: \"")?;
                Some(format!("case={}", name.strip_suffix("\",")?))
            });
            cases.extend(names);
        }
        assert!(cases.len() >= 11, "{cases:?}");
        cases.sort();
        let boots = KERNELS
            .iter()
            .filter(|kernel| kernel.name == list::FAILURES);
        let mut booted: Vec<_> = boots.map(|kernel| kernel.command_line.to_owned()).collect();
        booted.sort();
        booted.dedup();
        assert_eq!(cases, booted);
    }
}
