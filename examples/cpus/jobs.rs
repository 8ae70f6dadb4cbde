//! Jobs for the second CPU, one at a time.

use core::hint;

use spin::Mutex;

/// The job that is to be begun or runs.
static JOB: Mutex<Option<fn()>> = Mutex::new(None);

/// Has the second CPU begin a job.
pub(crate) fn begin(job: fn()) {
    *JOB.lock() = Some(job);
}

/// Waits until the job has ended. Interrupts stay enabled, so that the other CPU gets responses.
pub(crate) fn wait_for_end() {
    while JOB.lock().is_some() {
        hint::spin_loop();
    }
}

/// Runs jobs for ever.
pub(crate) fn run() -> ! {
    loop {
        let job = *JOB.lock();
        if let Some(job) = job {
            job();
            *JOB.lock() = None;
        }
        hint::spin_loop();
    }
}
