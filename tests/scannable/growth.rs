//! Frees by other CPUs while the heap grows for a scannable object.

use alloc::sync::Arc;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use archipelago::AllocFlags;
use archipelago::bits::Description;
use archipelago_api::Machine;
use archipelago_sim::{Sim, SimGeometry};
use archipelago_testing::{Block, Rig, on_every_geometry};

use crate::subject::POINTER;

/// Pages that are free below the piece of address space that the heap grows by.
const FREE: usize = 12;

/// A heap whose last pages are free, and below them an object of as many pages as a part of the
/// bitmap covers. When that object is freed, the next run begins in pages that another part covers.
fn bed<G: SimGeometry>() -> (Arc<Rig<G>>, Block) {
    let (page, chunk) = (Rig::<G>::PAGE, G::GEOMETRY.chunk_bytes());
    let pages = part_pages::<G>();
    let rig = Arc::new(Rig::<G>::new());
    let first = rig.get(pages * page, 8);
    let from = rig.address(first).value() + first.bytes;
    let end = from.next_multiple_of(chunk);
    let _ = rig.get(end - from - (FREE + pages) * page, 8);
    let last = rig.get(pages * page, 8);
    assert_eq!(rig.address(last).value() + last.bytes, end - FREE * page);
    (rig, last)
}

/// Pages that a part of the bitmap covers.
fn part_pages<G: SimGeometry>() -> usize {
    4 * Sim::<G>::WORD_BYTES
}

/// Runs `work` on a heap whose object `last` is freed in the middle of a machine call, once for
/// every call, and returns the number of calls.
fn with_a_free_in_every_call<G: SimGeometry>(work: impl Fn(&Rig<G>)) -> usize {
    let mut turn = 0;
    loop {
        let (rig, last) = bed::<G>();
        let (calls, kept) = (AtomicUsize::new(0), Arc::new(AtomicPtr::default()));
        kept.store(last.pointer.as_ptr(), Relaxed);
        let (layout, bytes) = (last.layout, last.bytes);
        rig.machine.on_call({
            let (rig, kept) = (Arc::clone(&rig), Arc::clone(&kept));
            move |_| {
                if calls.fetch_add(1, Relaxed) != turn {
                    return;
                }
                let freed = NonNull::new(kept.swap(ptr::null_mut(), Relaxed));
                rig.free(Block {
                    pointer: freed.expect("every turn comes once"),
                    layout,
                    bytes,
                });
            }
        });
        work(&rig);
        if !kept.load(Relaxed).is_null() {
            return turn;
        }
        turn += 1;
    }
}

/// Allocates an object of so many pages that is full of pointers, and frees it.
fn come_and_go<G: SimGeometry>(rig: &Rig<G>, pages: usize) {
    let count = pages * Rig::<G>::PAGE / Sim::<G>::WORD_BYTES;
    let layout = archipelago_testing::layout(pages * Rig::<G>::PAGE, 8);
    let object = Description::array(&POINTER, count);
    let memory = rig
        .heap
        .allocate_scannable(layout, &object, AllocFlags::empty());
    rig.machine.clear_hook();
    let block = rig.vouch(memory.expect("memory"), layout);
    rig.check();
    rig.verify();
    let mut found = 0;
    rig.heap.for_each_pointer_word(|_| found += 1);
    assert_eq!(found, count);
    rig.free(block);
    rig.check();
    rig.verify();
}

/// The free pages below the piece become more, so that the run begins elsewhere.
fn pages_are_freed_below_while_the_heap_grows<G: SimGeometry>() {
    let pages = FREE + part_pages::<G>() + 8;
    let calls = with_a_free_in_every_call::<G>(|rig| come_and_go(rig, pages));
    assert!(
        calls > 3,
        "{calls} calls: the heap grows by the run and its bitmap"
    );
}

/// The free pages become enough, so that growth is not needed.
fn enough_pages_are_freed_while_the_heap_grows<G: SimGeometry>() {
    let calls = with_a_free_in_every_call::<G>(|rig| come_and_go(rig, FREE + 1));
    assert!(
        calls > 3,
        "{calls} calls: the heap grows by the run and its bitmap"
    );
}

on_every_geometry!(
    pages_are_freed_below_while_the_heap_grows,
    enough_pages_are_freed_while_the_heap_grows,
);
