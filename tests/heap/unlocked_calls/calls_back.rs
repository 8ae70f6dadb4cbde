//! A mapper and a frame allocator that use the heap from within a call.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use archipelago::AllocFlags;
use archipelago_sim::{Sim, SimGeometry, SmallFixed};
use archipelago_testing::{Rig, layout, on_geometries_that_decommit};

use super::{CALLS, LARGE, Sent, apart, check, inside, provoke, shared, wait, window};

/// Objects that the machine has allocated.
type Kept = Arc<Mutex<Vec<Sent>>>;

fn keep(kept: &Kept, sent: Sent) {
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(sent);
}

fn take(kept: &Kept) -> Vec<Sent> {
    core::mem::take(&mut kept.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Atomic requests from within every kind of call are served or refused, and never wait.
fn a_machine_that_allocates_atomically<G: SimGeometry>() {
    for kind in CALLS {
        println!("the mapper allocates in {kind}");
        let rig = shared::<G>(Sim::builder().build());
        let (kept, refused) = (Kept::default(), Arc::new(AtomicUsize::new(0)));
        let hook = {
            let (heap, kept, refused) = (Arc::clone(&rig), Arc::clone(&kept), Arc::clone(&refused));
            inside(&rig, kind, move |_| {
                for size in [24, 200, 2000, LARGE] {
                    let zeroed = AllocFlags::ATOMIC | AllocFlags::ZEROED;
                    match heap.allocate(layout(size, 8), zeroed) {
                        Ok(block) => {
                            block.fill(1);
                            keep(&kept, Sent(block));
                        }
                        Err(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        };
        let grower = {
            let rig = Arc::clone(&rig);
            apart(move || provoke(&rig, kind))
        };
        wait(&grower, "a machine that allocates");
        drop(hook);
        let kept = take(&kept);
        let (served, refused) = (kept.len(), refused.load(Ordering::Relaxed));
        println!("{served} served, {refused} refused");
        assert!(served > 0, "the reserve serves the machine");
        check(&rig);
        for Sent(block) in kept {
            assert_eq!(block.find_damage(1, block.layout.size()), None);
            rig.free(block);
        }
        check(&rig);
    }
}

/// Frees from within every kind of call: of slots, of whole spans, of large objects.
fn a_machine_that_frees<G: SimGeometry>() {
    for kind in CALLS {
        println!("the mapper frees in {kind}");
        let rig = shared::<G>(Sim::builder().build());
        let kept = Kept::default();
        for size in [24, 24, 200, 2000, LARGE, 2 * LARGE] {
            keep(&kept, Sent(rig.get(size, 8)));
        }
        let freed = Arc::new(AtomicUsize::new(0));
        let hook = {
            let (heap, kept, freed) = (Arc::clone(&rig), Arc::clone(&kept), Arc::clone(&freed));
            inside(&rig, kind, move |_| {
                for Sent(block) in take(&kept) {
                    heap.free(block);
                    freed.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let grower = {
            let rig = Arc::clone(&rig);
            apart(move || provoke(&rig, kind))
        };
        wait(&grower, "a machine that frees");
        drop(hook);
        assert_eq!(freed.load(Ordering::Relaxed), 6, "{kind} was called");
        check(&rig);
    }
}

/// A check from within every kind of call reports that the heap is busy, and does not wait.
fn a_machine_that_verifies<G: SimGeometry>() {
    for kind in CALLS {
        println!("the mapper verifies in {kind}");
        let rig = shared::<G>(Sim::builder().build());
        let rules = Arc::<Mutex<Vec<_>>>::default();
        let hook = {
            let (heap, rules) = (Arc::clone(&rig), Arc::clone(&rules));
            inside(&rig, kind, move |_| {
                let rule = heap.heap.verify().expect_err("the gate is closed").rule;
                rules
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(rule);
            })
        };
        let grower = {
            let rig = Arc::clone(&rig);
            apart(move || provoke(&rig, kind))
        };
        wait(&grower, "a machine that verifies");
        drop(hook);
        let rules = core::mem::take(&mut *rules.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(!rules.is_empty(), "{kind} was called");
        assert!(
            rules
                .iter()
                .all(|rule| *rule == "a heap is verified in a quiet moment"),
            "{rules:?}"
        );
        check(&rig);
    }
}

on_geometries_that_decommit!(
    a_machine_that_allocates_atomically,
    a_machine_that_frees,
    a_machine_that_verifies
);

/// Where memory is never refused, metadata is made before the run. Meanwhile the machine takes the
/// free pages below the piece, so that the piece has to be longer, and to have more metadata.
#[test]
fn a_machine_that_takes_the_pages_below_a_piece() {
    const BELOW: usize = 8;
    let page = Rig::<SmallFixed>::PAGE;
    let arena = SmallFixed::GEOMETRY.arena_bytes();
    let rig = Arc::new(Rig::<SmallFixed>::on(
        Sim::default(),
        &[window::<SmallFixed>(0, 16)],
    ));
    // Growth takes what a request needs: the pages that the heap owns end with an arena, the last
    // of them free.
    let mut blocks = Vec::new();
    let end = |block| rig.address(block).value() + page;
    while blocks
        .last()
        .is_none_or(|last| (end(*last) + BELOW * page) % arena != 0)
    {
        blocks.push(rig.get(page, page));
    }
    let below = rig.get(BELOW * page, 8);
    assert_eq!((rig.address(below).value() + BELOW * page) % arena, 0);
    rig.free(below);
    let kept = Kept::default();
    {
        let (heap, kept) = (Arc::downgrade(&rig), Arc::clone(&kept));
        rig.machine.on_call(move |_| {
            let Some(rig) = heap.upgrade() else {
                return;
            };
            while let Ok(block) = rig.allocate(layout(page, page), AllocFlags::ATOMIC) {
                keep(&kept, Sent(block));
            }
        });
    }
    // With the pages below, the piece is six arenas; without them it reaches into the seventh.
    let long = rig.get(BELOW * page + 6 * arena, 8);
    rig.machine.clear_hook();
    let taken = take(&kept);
    assert!(taken.len() >= BELOW - 1, "{} pages taken", taken.len());
    assert_ne!(rig.address(long), rig.address(below));
    check(&rig);
    blocks.push(long);
    blocks.extend(taken.into_iter().map(|Sent(block)| block));
    blocks.into_iter().for_each(|block| rig.free(block));
    check(&rig);
}
