//! A pool of threads that boot kernels, one for each CPU of the host.

use core::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use super::judged::Judged;
use crate::figures::Figures;
use crate::kernels::{Expected, Kernel, REPLAY, STACK};
use crate::machine::{Machine, MemorySize};
use crate::process::{Finished, Progress};
use crate::project;
use crate::qemu::Boot;
use crate::run::figures::Figures as Replay;
use crate::{run, stack};

/// A boot that is to be made.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) machine: &'static Machine,
    pub(super) kernel: &'static Kernel,
    /// The kernel's program.
    pub(super) file: PathBuf,
    pub(super) memory: MemorySize,
}

/// The pool. Boots are started in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    /// Runs `work`, which asks for boots, and returns what all of them came to after the last has
    /// ended, with the figures of each.
    pub(super) fn with(work: impl FnOnce(&Self)) -> Vec<(Judged, Figures)> {
        let (jobs, waiting) = mpsc::channel();
        let waiting = Mutex::new(waiting);
        let (sender, judged) = mpsc::channel();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            for _ in 0..threads {
                let sender = sender.clone();
                let waiting = &waiting;
                scope.spawn(move || {
                    while let Some(job) = next(waiting) {
                        // The receiver lives until all threads have ended.
                        let _ = sender.send(boot(&job));
                    }
                });
            }
            // The threads end when the pool is dropped and no boot is left.
            work(&Self { jobs });
        });
        drop(sender);
        judged.into_iter().collect()
    }

    /// Asks for a boot.
    pub(super) fn boot(&self, job: Job) {
        // The receiver outlives the pool, so the job is never lost.
        let _ = self.jobs.send(job);
    }
}

/// Waits for the next boot that is asked for; `None` after the last.
fn next(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.recv().ok()
}

/// Boots a kernel and judges how it ended; prints the outcome, and the kernel's output if it is not
/// the expected one.
fn boot(job: &Job) -> (Judged, Figures) {
    let Job {
        machine,
        kernel,
        file,
        memory,
    } = job;
    let module = kernel.module.map(|file| project::root().join(file));
    let boot = Boot {
        machine,
        kernel: file.clone(),
        memory: *memory,
        cpus: kernel.cpus,
        module: module.as_deref(),
        command_line: kernel.command_line.to_owned(),
        count_instructions: kernel.counted,
        limit: kernel.limit,
    };
    let (machine, title) = (machine.name, kernel.title());
    let mut progress = Progress::start(format!("{machine}: {title}, {}", memory.in_words()));
    let result = boot.run(|line| progress.update(line));
    let judged = Judged::of(kernel.expected, &result);
    let output = if judged.failed == 0 {
        Vec::new()
    } else {
        output_of(&result)
    };
    progress.finish_with(&judged.text, &output);
    let figures = figures_of(job, &judged, &result);
    (judged, figures)
}

/// The figures of the README that a kernel has printed, if it passed.
fn figures_of(job: &Job, judged: &Judged, result: &Result<Finished>) -> Figures {
    let mut figures = Figures::default();
    let (Expected::Pass, 0, Ok(finished)) = (job.kernel.expected, judged.failed, result) else {
        return figures;
    };
    if job.kernel.name == STACK {
        stack::add_checked(&mut figures, job.machine, &finished.lines);
    }
    // With words on its command line, a replay is another than the one in the README.
    if let (REPLAY, "", Some(file)) = (job.kernel.name, job.kernel.command_line, job.kernel.module)
    {
        let trace = run::name_of(Path::new(file));
        figures.add_memory(&trace, job.machine.name, &Replay::read(&finished.lines));
    }
    figures
}

/// The lines that a kernel printed, or the reason why it was not booted.
fn output_of(result: &Result<Finished>) -> Vec<String> {
    match result {
        Ok(finished) => finished.lines.clone(),
        Err(error) => vec![format!("{error:#}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;

    #[test]
    fn a_boot_that_cannot_start_is_a_failed_one() {
        let machine = machine::all().next().expect("a machine");
        let kernel = &crate::kernels::KERNELS[0];
        let judged = Pool::with(|pool| {
            for _ in 0..3 {
                pool.boot(Job {
                    machine,
                    kernel,
                    file: PathBuf::from("no such kernel"),
                    memory: MemorySize::from_mib(16),
                });
            }
        });
        let counts: Vec<_> = judged
            .iter()
            .map(|(one, _)| (one.passed, one.failed))
            .collect();
        assert_eq!(counts, [(0, 1); 3]);
    }
}
