//! Producers and consumers: each CPU makes objects for the next one, which checks, resizes and
//! frees them.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use archipelago_qemu::{MOST_CPUS, wait_for_interrupt};
use spin::Mutex;

use crate::marked::Marked;
use crate::{Context, HEAP, cpus, scale};

/// Objects that each CPU makes, at scale 1.
const OBJECTS: usize = 4_000;

/// Objects that wait for a CPU, at most.
const WAITING: usize = 256;

/// Objects from one scavenging to the next.
const SCAVENGED: usize = 500;

/// The objects that wait for a CPU, first in first out.
struct Ring {
    objects: [Option<Marked>; WAITING],
    first: usize,
    count: usize,
}

impl Ring {
    const EMPTY: Self = Self {
        objects: [const { None }; WAITING],
        first: 0,
        count: 0,
    };

    /// Adds an object, or returns it where there is no room.
    fn put(&mut self, object: Marked) -> Result<(), Marked> {
        if self.count == WAITING {
            return Err(object);
        }
        self.objects[(self.first + self.count) % WAITING] = Some(object);
        self.count += 1;
        Ok(())
    }

    fn take(&mut self) -> Option<Marked> {
        self.count = self.count.checked_sub(1)?;
        let object = self.objects[self.first].take();
        self.first = (self.first + 1) % WAITING;
        object
    }
}

static RINGS: [Mutex<Ring>; MOST_CPUS] = [const { Mutex::new(Ring::EMPTY) }; MOST_CPUS];

static HANDED_OVER: AtomicUsize = AtomicUsize::new(0);

/// Objects that one CPU made and another one freed.
pub(crate) fn handed_over() -> usize {
    HANDED_OVER.load(Relaxed)
}

pub(crate) fn run(context: &mut Context) {
    cpus::on_all(produce_and_consume);
    context.check();
}

fn produce_and_consume() {
    let (this, count) = (cpus::this(), cpus::count());
    let mut rng = crate::random(this);
    let (mut to_make, mut to_free) = (OBJECTS * scale(), OBJECTS * scale());
    let mut made = None;
    while to_make > 0 || to_free > 0 {
        let before = (to_make, to_free);
        // In bursts, so that a ring is full now and empty then.
        for _ in 0..rng.usize(..2 * WAITING) {
            if to_make == 0 {
                break;
            }
            let object = made.take().unwrap_or_else(|| Marked::random(&mut rng));
            match RINGS[(this + 1) % count].lock().put(object) {
                Ok(()) => to_make -= 1,
                Err(object) => {
                    made = Some(object);
                    break;
                }
            }
        }
        for _ in 0..rng.usize(..2 * WAITING) {
            let taken = RINGS[this].lock().take();
            let Some(mut object) = taken else { break };
            if rng.usize(..4) == 0 {
                object.resize(&mut rng);
            }
            drop(object);
            to_free -= 1;
            HANDED_OVER.fetch_add(1, Relaxed);
            if to_free % SCAVENGED == 0 {
                HEAP.scavenge(usize::MAX).expect("a CPU may wait");
            }
        }
        if before == (to_make, to_free) {
            wait_for_interrupt();
        }
    }
}
