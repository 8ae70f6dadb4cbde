//! A pool of threads that boot kernels, one for each CPU of the host.

use core::num::NonZero;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use super::judged::Judged;
use crate::kernels::Kernel;
use crate::machine::{Machine, MemorySize};
use crate::process::{Finished, Progress};
use crate::project;
use crate::qemu::Boot;

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
    /// ended.
    pub(super) fn with(work: impl FnOnce(&Self)) -> Vec<Judged> {
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
fn boot(job: &Job) -> Judged {
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
    judged
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
        let counts: Vec<_> = judged.iter().map(|one| (one.passed, one.failed)).collect();
        assert_eq!(counts, [(0, 1); 3]);
    }
}
