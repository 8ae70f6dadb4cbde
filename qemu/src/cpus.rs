//! The CPUs of a kernel: how many there may be, and what they have in common when they start.

use core::hint;
use core::sync::atomic::{AtomicBool, Ordering};

use archipelago_api::CpuId;
use spin::Mutex;

use crate::machine::is_cpu_on;

/// The most CPUs that a kernel starts, the first one included. CPUs are numbered from 0.
pub const MOST_CPUS: usize = most_cpus();

const fn most_cpus() -> usize {
    match usize::from_str_radix(env!("MACHINE_MOST_CPUS"), 10) {
        Ok(count) => count,
        Err(_) => panic!("the build script writes decimal digits"),
    }
}

/// The number and the first function of a CPU that is being started.
type Start = (CpuId, fn() -> !);

static STARTING: Mutex<Option<Start>> = Mutex::new(None);

/// Whether each CPU but the first has arrived in its first function, and not left it for good.
static HAVE_ARRIVED: [AtomicBool; MOST_CPUS] = [const { AtomicBool::new(false) }; MOST_CPUS];

/// Turns of waiting after which a CPU is not there: seconds.
const TURNS: usize = if cfg!(machine = "x86_64") {
    // QEMU interrupts its own work at each instruction that says that a CPU waits.
    1 << 24
} else {
    1 << 30
};

/// Has `begin` start a CPU, which runs `main` in the end, and waits until it has arrived.
///
/// # Panics
/// If the CPU is on already, or does not start.
pub(crate) fn start(cpu: CpuId, main: fn() -> !, begin: impl FnOnce() -> bool) {
    assert!(!is_cpu_on(cpu), "CPU {} is on", cpu.0);
    *STARTING.lock() = Some((cpu, main));
    if begin() {
        for _ in 0..TURNS {
            if has_arrived(cpu).load(Ordering::Acquire) {
                return;
            }
            hint::spin_loop();
        }
    }
    let (number, cpus) = (cpu.0, cpu.0 + 1);
    panic!("CPU {number} has not started: has QEMU the argument `-smp {cpus}`?");
}

/// The start of the CPU that this runs on.
pub(crate) fn this_start() -> Start {
    STARTING.lock().expect("the first CPU has set it")
}

/// Whether a CPU has arrived: stored by itself, and when it leaves.
pub(crate) fn has_arrived(cpu: CpuId) -> &'static AtomicBool {
    &HAVE_ARRIVED[usize::from(cpu.0)]
}
