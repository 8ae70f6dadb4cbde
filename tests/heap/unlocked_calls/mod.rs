//! The heap calls the machine with none of its locks held, and the machine may call the heap.
//!
//! A mapper takes locks of its own, allocates, frees, and is called by several CPUs, and no CPU
//! waits for ever. Work that does not end within [`PATIENCE`] counts as a deadlock.

mod calls_back;
mod held_back;
mod held_lock;
mod reported;
mod stress;
mod threads;

use alloc::sync::Arc;
use core::time::Duration;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use archipelago::{AllocFlags, Window};
use archipelago_sim::{Call, Kind, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `work` on a thread of its own, which is a CPU and a thread of control of its own, too.
fn apart<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Receiver<R> {
    let (done, result) = channel();
    thread::spawn(move || {
        let result = work();
        // The receiver is gone if the test has failed.
        done.send(result).ok();
    });
    result
}

/// The result of a thread; panics if it does not come.
fn wait<R>(result: &Receiver<R>, what: &str) -> R {
    match result.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("deadlock: {what}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what}: the thread panicked"),
    }
}

/// A block that goes from thread to thread.
#[derive(Clone, Copy, Debug)]
struct Sent(Block);

// SAFETY: a block is a pointer into the heap, which any thread may use.
unsafe impl Send for Sent {}

/// Bytes of a large object.
const LARGE: usize = 33 << 10;

/// A heap in two windows, with a reserve and some small objects, that threads share.
fn shared<G: SimGeometry>(machine: Sim<G>) -> Arc<Rig<G>> {
    let rig = Rig::on(machine, &[window::<G>(0, 16), window::<G>(16, 16)]);
    rig.heap.set_reserve(8).expect("there is memory");
    Arc::new(rig)
}

/// A window of some arenas from an arena boundary on.
fn window<G: SimGeometry>(arenas_above: usize, arenas: usize) -> Window {
    let geometry = G::GEOMETRY;
    let arena = geometry.arena_bytes();
    let quarter = (geometry.last_offset().value() / 4 + 1) / arena * arena;
    let base = geometry.base.wrapping_add(quarter);
    Window::new(base + arenas_above * arena, arenas * arena)
}

/// The calls that a heap makes once it is initialised.
const CALLS: [Kind; 5] = [
    Kind::Reserve,
    Kind::Prepare,
    Kind::Commit,
    Kind::Decommit,
    Kind::Fault,
];

/// Makes the machine be called, with a call of `kind` among the calls.
fn provoke<G: SimGeometry>(rig: &Rig<G>, kind: Kind) {
    let pages = 4 * G::GEOMETRY.chunk_pages();
    let large = layout(pages * Rig::<G>::PAGE, 8);
    match kind {
        Kind::Reserve => rig
            .heap
            .add_window(window::<G>(40, 1))
            .expect("a good window"),
        Kind::Prepare | Kind::Commit => {
            let block = rig.allocate(large, AllocFlags::empty()).expect("memory");
            rig.free(block);
        }
        Kind::Decommit => {
            let block = rig.allocate(large, AllocFlags::empty()).expect("memory");
            rig.free(block);
            let scavenged = rig.heap.scavenge(pages).expect("the machine waits");
            assert!(scavenged > 0, "free pages have memory");
        }
        Kind::Fault => {
            // There are frames for the page tables of the piece, and too few for the run.
            rig.machine.set_available_frames(pages / 2);
            let refused = rig.allocate(large, AllocFlags::empty());
            refused.expect_err("there are not enough frames");
            rig.machine.set_available_frames(usize::MAX / 2);
        }
        Kind::Release => panic!("only an `init` that fails releases windows"),
    }
}

/// Runs `hook` inside every call of `kind`. The hook is removed when the guard is dropped.
#[must_use]
fn inside<G: SimGeometry>(
    rig: &Rig<G>,
    kind: Kind,
    hook: impl Fn(Call) + Send + Sync + 'static,
) -> Hooked<G> {
    rig.machine.on_call(move |call| {
        if call.kind == kind {
            hook(call);
        }
    });
    Hooked(rig.machine.clone())
}

/// A machine with a hook.
struct Hooked<G: SimGeometry>(Sim<G>);

impl<G: SimGeometry> Drop for Hooked<G> {
    fn drop(&mut self) {
        self.0.clear_hook();
    }
}

/// Checks the account and every invariant.
fn check<G: SimGeometry>(rig: &Rig<G>) {
    if let Err(violation) = rig.heap.verify() {
        panic!("{violation}\n{}", rig.heap.stats());
    }
    rig.check();
}
