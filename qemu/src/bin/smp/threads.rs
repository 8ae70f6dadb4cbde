//! Threads that are preempted anywhere, in the heap, too, and go on on another CPU.

use alloc::vec::Vec;

use archipelago::AllocFlags;
use archipelago_qemu::FRAME_BYTES;
use spin::Mutex;

use crate::marked::Marked;
use crate::scheduler::{self, WORKERS};
use crate::{Context, HEAP, cpus, scale};

/// Threads for each CPU.
const EACH: usize = 3;

/// Actions of each thread, at scale 1.
const ACTIONS: usize = 1_000;

/// Rounds after which threads that were never moved inside of the heap are given up on.
const ROUNDS: usize = 20;

/// Objects that a thread keeps.
const KEPT: usize = 32;

/// Objects that whichever thread comes by exchanges for one of its own.
static EXCHANGE: [Mutex<Option<Marked>>; WORKERS] = [const { Mutex::new(None) }; WORKERS];

pub(crate) fn run(context: &mut Context) {
    let threads = EACH * cpus::count();
    let stacks: Vec<_> = (0..threads).map(|_| cpus::new_stack()).collect();
    let has_moved = || scheduler::counts()[2] > 0;
    for round in 0..ROUNDS {
        if round >= scale() && has_moved() {
            break;
        }
        for (number, stack) in stacks.iter().enumerate() {
            scheduler::start(number, *stack, work);
        }
        cpus::on_all(scheduler::run);
    }
    for stack in stacks {
        // SAFETY: `scheduler::run` has returned on every CPU, so no thread runs.
        unsafe { cpus::free_stack(stack) };
    }
    for place in &EXCHANGE {
        *place.lock() = None;
    }
    assert!(has_moved(), "no thread was moved inside of the heap");
    context.check();
}

/// The work of a thread.
fn work(number: usize) {
    let mut rng = crate::random(1_000 + number);
    let mut kept: Vec<Marked> = Vec::new();
    for _ in 0..ACTIONS {
        match rng.usize(..128) {
            0 => _ = HEAP.scavenge(usize::MAX).expect("a thread may wait"),
            1 | 2 => use_pages(1 + rng.usize(..4), number),
            3..32 if !kept.is_empty() => {
                let index = rng.usize(..kept.len());
                kept[index].resize(&mut rng);
            }
            32..64 if !kept.is_empty() => {
                let object = kept.swap_remove(rng.usize(..kept.len()));
                // A thread that holds the lock may have lost its CPU.
                if let Some(mut place) = EXCHANGE[rng.usize(..WORKERS)].try_lock() {
                    let others = place.replace(object);
                    drop(place);
                    kept.extend(others);
                }
            }
            _ => kept.push(Marked::random(&mut rng)),
        }
        if kept.len() > KEPT {
            drop(kept.swap_remove(rng.usize(..KEPT)));
        }
    }
}

/// Takes a run of pages and gives it back.
fn use_pages(pages: usize, number: usize) {
    let run = HEAP
        .pages()
        .allocate(pages, FRAME_BYTES, AllocFlags::empty());
    let run = run.expect("there is memory");
    let byte = u8::try_from(number).expect("there are few threads");
    let first: *mut u8 = run.as_ptr().as_ptr().cast();
    // SAFETY: the run is writable, and of this function alone.
    unsafe { first.write_bytes(byte, pages * FRAME_BYTES) };
    // SAFETY: the bytes were written just now, and only this function uses them.
    let bytes = unsafe { core::slice::from_raw_parts(first, pages * FRAME_BYTES) };
    assert!(
        bytes.iter().all(|one| *one == byte),
        "a page was written to"
    );
}
