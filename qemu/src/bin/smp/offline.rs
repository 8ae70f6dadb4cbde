//! CPUs go offline and return. Their objects stay, others free these, and memory that was given
//! back and committed again meanwhile is found as it is.

use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_qemu::MOST_CPUS;
use spin::Mutex;

use crate::marked::Marked;
use crate::{Context, HEAP, cpus, scale};

/// Times that each CPU goes offline, at scale 1, alone and together with others.
const ROUNDS: usize = 4;

/// Objects that a CPU leaves, and that each of the others makes while it is off.
const OBJECTS: usize = 60;

/// The objects of each CPU.
static LEFT: [Mutex<Vec<Marked>>; MOST_CPUS] = [const { Mutex::new(Vec::new()) }; MOST_CPUS];

static RETURNS: AtomicUsize = AtomicUsize::new(0);
static ROUND: AtomicUsize = AtomicUsize::new(0);

/// How often a CPU returned.
pub(crate) fn returns() -> usize {
    RETURNS.load(Relaxed)
}

pub(crate) fn run(context: &mut Context) {
    let others = 1..cpus::count();
    for round in 0..ROUNDS * scale() {
        ROUND.store(round, Relaxed);
        // Every other round all of them are off at the same time.
        if round % 2 == 0 {
            go_and_return(&others.clone().collect::<Vec<_>>());
        } else {
            others.clone().for_each(|cpu| go_and_return(&[cpu]));
        }
    }
    cpus::on_all(|| drop(mem::take(&mut *LEFT[cpus::this()].lock())));
    context.check();
}

fn go_and_return(leaving: &[usize]) {
    for &cpu in leaving {
        cpus::on(cpu, make_objects);
        cpus::send_off(cpu);
    }
    // Those that are left free the objects of those that have gone.
    for &cpu in leaving {
        LEFT[cpu].lock().clear();
    }
    let stay = (0..cpus::count()).filter(|cpu| !leaving.contains(cpu));
    for cpu in stay {
        cpus::on(cpu, use_memory_again);
    }
    for &cpu in leaving {
        cpus::start(cpu);
        RETURNS.fetch_add(1, Relaxed);
        // With what the others made in the frames that were given back.
        cpus::on(cpu, check_all);
        cpus::on(cpu, make_objects);
    }
}

fn make_objects() {
    let this = cpus::this();
    let mut rng = crate::random(this + MOST_CPUS * ROUND.load(Relaxed));
    let objects: Vec<_> = (0..OBJECTS).map(|_| Marked::random(&mut rng)).collect();
    *LEFT[this].lock() = objects;
}

/// Gives memory back, and commits it again.
fn use_memory_again() {
    HEAP.scavenge(usize::MAX).expect("a CPU may wait");
    make_objects();
}

fn check_all() {
    for objects in &LEFT[..cpus::count()] {
        objects.lock().iter().for_each(Marked::check);
    }
}
