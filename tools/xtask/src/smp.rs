//! `cargo xtask run --smp` and `cargo xtask soak --smp`: boots of the kernel whose CPUs use one
//! heap all at once.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::kernels::SMP;
use crate::machine::{self, Machine, Machines, MemorySize};
use crate::process::Progress;
use crate::qemu::{Boot, Verdict};
use crate::run::figures::Figures;
use crate::run::{self, BadInput, Profile};
use crate::setup::Install;
use crate::table::{Side, count, render};

/// Far above what any boot takes. A kernel that hangs says so by itself, long before.
const LIMIT: Duration = Duration::from_secs(600);

/// The trace that every CPU of `run` replays.
const TRACE: &str = "sqlite";

/// How much work the CPUs of a kernel of `run` do together, in units of the test's for each. CPUs
/// that share those of the host get on the slower, the more there are.
const SCALE: u32 = 20;

/// Boots the kernel once on each machine, and prints a table.
///
/// # Errors
/// [`BadInput`] if a machine cannot have so many CPUs; if something is missing or cannot be built.
pub(crate) fn run(
    cpus: u32,
    machines: Option<Machines>,
    memory: Option<MemorySize>,
    install: Install,
) -> Result<ExitCode> {
    let machines = choose(cpus, machines)?;
    let toolchain = run::needs(&machines).ensure(install)?;
    let mut traces = run::traces()?.into_iter();
    let trace = traces.find(|trace| run::name_of(trace) == TRACE);
    let trace = trace.with_context(|| format!("no recorded trace {TRACE}"))?;
    let mut rows = Vec::new();
    for machine in machines {
        let kernel = run::prepare(&toolchain, machine, Profile::Optimized, SMP)?;
        let one = One {
            machine,
            cpus,
            memory: machine.memory(memory),
            trace: &trace,
            words: format!("scale={}", (SCALE / cpus).max(1)),
        };
        let memory = one.memory.in_words();
        let mut progress =
            Progress::start(format!("{TRACE}, {}, {cpus} CPUs, {memory}", machine.name));
        let booted = one.boot(&kernel, |line| progress.update(line))?;
        progress.finish(&booted.outcome());
        booted.explain();
        rows.push((machine, booted));
    }
    println!("\n{}", table(&rows));
    let held = rows.iter().filter(|(_, booted)| booted.has_held()).count();
    println!(
        "\n{held} of {} boots: every operation, every object's bytes and every identity held",
        rows.len()
    );
    Ok(code(held == rows.len()))
}

/// Boots the kernel `boots` times on each machine that can have so many CPUs, with a seed and a
/// trace of its own each time, and says how far it is.
///
/// # Errors
/// As for [`run()`].
pub(crate) fn soak(cpus: u32, boots: u64, seed: u64, install: Install) -> Result<ExitCode> {
    let machines = choose(cpus, None)?;
    let toolchain = run::needs(&machines).ensure(install)?;
    let traces = run::traces()?;
    let mut failures = 0;
    for machine in machines {
        let kernel = run::prepare(&toolchain, machine, Profile::Checked, SMP)?;
        let mut progress = Progress::start(format!("{}, {cpus} CPUs", machine.name));
        let mut failed = 0;
        for (boot, trace) in (0..boots).zip(traces.iter().cycle()) {
            let seed = seed.wrapping_add(boot) % u64::from(u32::MAX);
            let one = One {
                machine,
                cpus,
                memory: machine.memory(None),
                trace,
                words: format!("seed={seed}"),
            };
            let done = format!("{boot} of {boots} boots, {failed} failed");
            let booted = one.boot(&kernel, |line| progress.update(&format!("{done}; {line}")))?;
            if !booted.has_held() {
                failed += 1;
                let name = run::name_of(trace);
                println!("  boot {boot}, {name}, seed {seed}: {}", booted.outcome());
                booted.explain();
            }
        }
        failures += failed;
        progress.finish(&format!("{boots} boots, {failed} failed"));
    }
    Ok(code(failures == 0))
}

const fn code(is_success: bool) -> ExitCode {
    if is_success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The machines that can have so many CPUs, or the one that was chosen, which has to.
fn choose(cpus: u32, wanted: Option<Machines>) -> Result<Vec<&'static Machine>, BadInput> {
    if cpus < 2 {
        return Err(BadInput(format!(
            "{cpus} CPUs were asked for: --smp is for two or more, and `cargo xtask run` without it \
             for one"
        )));
    }
    let wanted = wanted.unwrap_or(Machines::All);
    if let Machines::One(machine) = wanted {
        let most = machine.most_cpus;
        if cpus > most {
            return Err(BadInput(format!(
                "{cpus} CPUs were asked for, but kernels start {most} on {} at most",
                machine.name
            )));
        }
    }
    let can: Vec<_> = wanted.iter().filter(|one| one.most_cpus >= cpus).collect();
    if can.is_empty() {
        let most = machine::all().map(|one| one.most_cpus).max().unwrap_or(1);
        return Err(BadInput(format!(
            "{cpus} CPUs were asked for, but kernels start {most} at most on any machine"
        )));
    }
    Ok(can)
}

/// A boot that is to be made.
struct One<'a> {
    machine: &'static Machine,
    cpus: u32,
    memory: MemorySize,
    trace: &'a PathBuf,
    /// Words of the command line, besides the number of CPUs.
    words: String,
}

impl One<'_> {
    fn boot(&self, kernel: &Path, on_line: impl FnMut(&str)) -> Result<Booted> {
        let boot = Boot {
            machine: self.machine,
            kernel: kernel.to_owned(),
            cpus: self.cpus,
            memory: self.memory,
            module: Some(self.trace),
            command_line: format!("cpus={} {}", self.cpus, self.words),
            // Virtual time that follows the instructions lets one CPU run at a time.
            count_instructions: false,
            limit: LIMIT,
        };
        let start = Instant::now();
        let finished = boot.run(on_line)?;
        Ok(Booted {
            verdict: Verdict::of(finished.ending, &finished.lines),
            figures: Figures::read(&finished.lines),
            lines: finished.lines,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// A boot that has ended.
struct Booted {
    verdict: Verdict,
    figures: Figures,
    lines: Vec<String>,
    seconds: f64,
}

impl Booted {
    fn has_held(&self) -> bool {
        matches!(self.verdict, Verdict::Passed { .. })
            && self.figures.get("account_checks").is_some()
    }

    fn outcome(&self) -> String {
        if self.has_held() {
            "ok".to_owned()
        } else {
            format!("FAILED: {}", self.verdict)
        }
    }

    /// Prints why the boot failed, if it did: what the kernel reported, and what each CPU did when
    /// it was heard of last.
    fn explain(&self) {
        if self.has_held() {
            return;
        }
        let is_progress = |line: &&String| line.starts_with("progress ");
        let last = self.lines.iter().rfind(is_progress);
        let said = self.lines.iter().filter(|line| !is_progress(line));
        for line in said.chain(last) {
            println!("    {}", line.trim_start_matches("# "));
        }
    }
}

/// The columns after the machine: the lines of the head, and the name of the figure.
const COLUMNS: [([&str; 2], &str); 10] = [
    (["", "CPUs"], "cpus"),
    (["", "actions"], "actions"),
    (["freed by", "another CPU"], "handed_over"),
    (["CPUs that", "returned"], "returns"),
    (["timer", "interrupts"], "interrupts"),
    (["requests", "in handlers"], "served"),
    (["threads", "preempted"], "preempted"),
    (["in the", "heap"], "preempted_in_heap"),
    (["moved", "there"], "moved_in_heap"),
    (["shoot-", "downs"], "shoot_downs"),
];

fn table(rows: &[(&Machine, Booted)]) -> String {
    let heads = (0..2).map(|line| {
        let mut head = vec![["", "machine"][line].to_owned()];
        head.extend(COLUMNS.iter().map(|(head, _)| head[line].to_owned()));
        head.extend([["", "seconds"], ["frame", "identity"]].map(|head| head[line].to_owned()));
        head
    });
    let cells = rows.iter().map(|(machine, booted)| {
        let figure = |name: &str| booted.figures.get(name).map_or("-".to_owned(), count);
        let mut cells = vec![machine.name.to_owned()];
        cells.extend(COLUMNS.iter().map(|(_, name)| figure(name)));
        cells.push(format!("{:.1}", booted.seconds));
        let identity = if booted.has_held() {
            "held"
        } else {
            "NOT SHOWN"
        };
        cells.push(identity.to_owned());
        cells
    });
    let lines: Vec<_> = heads.chain(cells).collect();
    let mut sides = vec![Side::Right; COLUMNS.len() + 3];
    for words in [0, COLUMNS.len() + 2] {
        sides[words] = Side::Left;
    }
    render(&lines, &sides, 0).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Ending;
    use crate::qemu::PASS;

    fn one(name: &str) -> Option<Machines> {
        Some(Machines::One(machine::find(name).expect("it is there")))
    }

    #[test]
    fn a_machine_that_cannot_have_so_many_cpus_says_so() {
        let refused = |cpus, machines| choose(cpus, machines).expect_err("too many").to_string();
        assert_eq!(
            refused(4, one("cortex-m")),
            "4 CPUs were asked for, but kernels start 1 on cortex-m at most"
        );
        assert!(refused(1, None).contains("without it for one"));
        assert!(refused(99, None).contains("at most on any machine"));
        let names: Vec<_> = choose(4, None)
            .expect("some")
            .iter()
            .map(|one| one.name)
            .collect();
        assert!(
            names.contains(&"x86_64") && !names.contains(&"mips"),
            "{names:?}"
        );
    }

    #[test]
    fn a_boot_without_its_figures_has_not_held() {
        let booted = |text: &str| {
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            Booted {
                verdict: Verdict::of(Ending::Exit(PASS), &lines),
                figures: Figures::read(&lines),
                lines,
                seconds: 1.0,
            }
        };
        assert!(!booted("1..1\nok 1 - a").has_held());
        let held = booted("1..1\nfigure account_checks 3\nfigure cpus 4\nok 1 - a");
        assert!(held.has_held());
        let machine = machine::find("x86_64").expect("it is there");
        let table = table(&[(machine, held)]);
        let last = table.lines().last().expect("a row");
        assert!(last.starts_with("x86_64      4"), "{last}");
        assert!(last.ends_with("  1.0  held"), "{last}");
    }
}
