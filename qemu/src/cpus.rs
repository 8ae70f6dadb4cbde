//! How many CPUs there may be.

/// The most CPUs that a kernel starts, the first one included. CPUs are numbered from 0.
pub const MOST_CPUS: usize = most_cpus();

const fn most_cpus() -> usize {
    match usize::from_str_radix(env!("MACHINE_MOST_CPUS"), 10) {
        Ok(count) => count,
        Err(_) => panic!("the build script writes decimal digits"),
    }
}
