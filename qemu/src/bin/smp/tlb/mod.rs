//! TLB maintenance on all CPUs, in the way of each machine, and the word `careless` that leaves it
//! out.

#[cfg_attr(machine = "x86_64", path = "x86_64.rs")]
#[cfg_attr(machine = "arm", path = "arm.rs")]
mod machine;

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) use machine::{Machine, leave, machine, take_part};

static CARELESS: AtomicBool = AtomicBool::new(false);
static SHOOT_DOWNS: AtomicUsize = AtomicUsize::new(0);

/// Leaves the maintenance of other CPUs out, from now on: before they are started.
pub(crate) fn be_careless() {
    CARELESS.store(true, Ordering::Release);
}

fn is_careless() -> bool {
    CARELESS.load(Ordering::Acquire)
}

fn count() {
    SHOOT_DOWNS.fetch_add(1, Ordering::Relaxed);
}

/// How often all CPUs had to drop translations.
pub(crate) fn shoot_downs() -> usize {
    SHOOT_DOWNS.load(Ordering::Relaxed)
}
