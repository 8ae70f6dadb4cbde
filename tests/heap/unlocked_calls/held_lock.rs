//! A mapper waits for a lock whose holder, another CPU, uses the heap.

use alloc::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use archipelago::AllocFlags;
use archipelago_api::Kernel;
use archipelago_sim::{Hosted, Kind, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, on_geometries_that_decommit};

use super::{CALLS, LARGE, Sent, apart, check, inside, provoke, shared, wait};

/// A lock of the kernel's, which its mapper takes too.
type Lock = Arc<Mutex<()>>;

fn lock(lock: &Lock) -> MutexGuard<'_, ()> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While one CPU waits for the kernel's lock inside the machine, the holder of the lock may use the
/// heap in any way.
fn the_heap_serves_while_the_mapper_waits<G: SimGeometry>() {
    for kind in CALLS {
        println!("the mapper waits in {kind}");
        let rig = shared::<G>(Sim::builder().build());
        let objects = objects(&rig);
        let kernel = Lock::default();
        let (reached, inside_machine) = channel();
        let _hook = {
            let kernel = Arc::clone(&kernel);
            inside(&rig, kind, move |_| report_and_wait(&reached, &kernel))
        };
        let held = lock(&kernel);
        let grower = {
            let rig = Arc::clone(&rig);
            apart(move || provoke(&rig, kind))
        };
        wait(&inside_machine, "the grower comes to the machine");
        let holder = {
            let rig = Arc::clone(&rig);
            let objects: Vec<_> = objects.into_iter().map(Sent).collect();
            apart(move || use_ready_memory(&rig, objects))
        };
        let objects = wait(&holder, "the heap serves what is Ready");
        drop(held);
        wait(&grower, "the grower goes on");
        for Sent(block) in objects {
            rig.free(block);
        }
        check(&rig);
    }
}

fn report_and_wait(reached: &Sender<()>, kernel: &Lock) {
    // The test listens for the first call alone.
    reached.send(()).ok();
    drop(lock(kernel));
}

/// Two of each kind of object.
fn objects<G: SimGeometry>(rig: &Rig<G>) -> Vec<Block> {
    let page = Rig::<G>::PAGE;
    [24, 24, 24, 200, 200, page, page, LARGE, LARGE]
        .map(|size| rig.get(size, 8))
        .to_vec()
}

/// Performs all operations that need no machine call. Returns the objects that are live in the end.
fn use_ready_memory<G: SimGeometry>(rig: &Rig<G>, objects: Vec<Sent>) -> Vec<Sent> {
    let mut live: Vec<_> = objects.into_iter().map(|sent| sent.0).collect();
    let stats = rig.heap.stats();
    assert!(stats.mapped_ready > 0 && rig.heap.owns(rig.address(live[0])));
    let (mut chunks, mut spans) = (0, 0);
    rig.heap.for_each_chunk(|_| chunks += 1);
    rig.heap.for_each_span(|_| spans += 1);
    assert!(chunks > 0 && spans > 0);

    // A span with a free slot serves every request.
    for flags in [AllocFlags::empty(), AllocFlags::NO_GROW, AllocFlags::ATOMIC] {
        live.push(rig.allocate(layout(24, 8), flags).expect("a slot is free"));
    }
    let page = Rig::<G>::PAGE;
    let reserved = rig.allocate(layout(page, page), AllocFlags::ATOMIC);
    live.push(reserved.expect("the reserve"));
    let freed = live.remove(0);
    rig.free(freed);

    // A large object that shrinks and one that is freed leave pages that are Ready, which serve the
    // next.
    let last = live.iter().rposition(|block| block.layout.size() == LARGE);
    rig.free(live.remove(last.expect("two are large")));
    let again = rig.allocate(layout(LARGE, 8), AllocFlags::NO_GROW);
    let again = again.expect("as many pages are Ready");
    live.push(
        rig.resize(again, LARGE - 1, AllocFlags::empty())
            .expect("it stays where it is"),
    );

    // With interrupts masked no request waits for the machine.
    let interrupts = Hosted::disable_interrupts();
    let much = layout(6 * G::GEOMETRY.arena_bytes(), 8);
    let refused = rig.allocate(much, AllocFlags::empty());
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(interrupts) };
    refused.expect_err("as much as that is not Ready");
    live.into_iter().map(Sent).collect()
}

/// A request that needs the machine, and may wait, waits and is served in the end.
fn growers_queue_while_a_mapper_waits<G: SimGeometry>() {
    let rig = shared::<G>(Sim::builder().build());
    let kernel = Lock::default();
    let (reached, inside_machine) = channel();
    let hook = {
        let kernel = Arc::clone(&kernel);
        inside(&rig, Kind::Commit, move |_| {
            report_and_wait(&reached, &kernel)
        })
    };
    let held = lock(&kernel);
    let growers: Vec<_> = (0..3)
        .map(|_| {
            let rig = Arc::clone(&rig);
            apart(move || {
                let block = rig.get(LARGE, 8);
                assert!(Hosted::interrupts_enabled());
                Sent(block)
            })
        })
        .collect();
    wait(&inside_machine, "a grower comes to the machine");
    drop(held);
    for grower in growers {
        let Sent(block) = wait(&grower, "every grower is served");
        rig.free(block);
    }
    drop(hook);
    check(&rig);
}

on_geometries_that_decommit!(
    the_heap_serves_while_the_mapper_waits,
    growers_queue_while_a_mapper_waits,
);
