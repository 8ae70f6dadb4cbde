//! Jobs for the other CPUs, for each one at a time.

use archipelago_qemu::{MOST_CPUS, current_cpu};
use spin::Mutex;

/// The job that is to be begun or runs.
type Job = Mutex<Option<fn()>>;

/// The jobs of all CPUs.
static JOBS: [Job; MOST_CPUS] = [const { Mutex::new(None) }; MOST_CPUS];

/// Has another CPU begin a job.
pub(crate) fn begin(cpu: usize, job: fn()) {
    *JOBS[cpu].lock() = Some(job);
}

/// Waits until all jobs have ended, in `idle` over and over. Interrupts stay enabled, so that other
/// CPUs get responses.
pub(crate) fn wait_for_end(idle: fn()) {
    for job in &JOBS {
        while job.lock().is_some() {
            idle();
        }
    }
}

/// The end of this CPU's job, which returns here or says so itself.
pub(crate) fn end() {
    *JOBS[usize::from(current_cpu().0)].lock() = None;
}

/// Runs the jobs of this CPU for ever, and `idle` between them.
pub(crate) fn run(idle: fn()) -> ! {
    let this = &JOBS[usize::from(current_cpu().0)];
    loop {
        let job = *this.lock();
        if let Some(job) = job {
            job();
            end();
        }
        idle();
    }
}
