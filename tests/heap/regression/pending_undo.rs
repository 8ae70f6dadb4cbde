//! A machine that becomes busy while a step is undone, in a request that is then retried.

use archipelago::AllocFlags;
use archipelago_api::Kernel;
use archipelago_sim::{Hosted, Mode, SimGeometry};
use archipelago_testing::{Rig, layout};

/// A heap at its limit that has to grow for more than a quarter of a chunk, and whose free pages
/// have enough memory for that growth.
fn at_its_limit<G: SimGeometry>() -> Rig<G> {
    let rig = Rig::<G>::new();
    let quarter = G::GEOMETRY.chunk_bytes() / 4;
    let blocks: Vec<_> = (0..8).map(|_| rig.get(quarter, 8)).collect();
    rig.heap.set_limit(rig.heap.stats().mapped_ready);
    for block in blocks.into_iter().step_by(2) {
        rig.free(block);
    }
    rig
}

/// The range that could not be faulted is still Prepared when the request is tried again.
fn a_range_that_was_not_undone_is_not_prepared_twice<G: SimGeometry>() {
    let wanted = layout(G::GEOMETRY.chunk_bytes() * 3 / 8, 8);
    let mut injected = 0;
    for nth in 1.. {
        let rig = at_its_limit::<G>();
        rig.machine.busy_nth(nth, Mode::Once);
        let interrupts = Hosted::disable_interrupts();
        let block = rig.allocate(wanted, AllocFlags::empty());
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { Hosted::restore_interrupts(interrupts) };
        let busy = rig.machine.injected();
        rig.machine.disarm();
        rig.verify();
        rig.check();
        // The next call undoes the pending step, and memory suffices again.
        let again = rig.allocate(wanted, AllocFlags::empty());
        assert!(block.is_ok() || again.is_ok(), "{block:?}, then {again:?}");
        rig.verify();
        rig.check();
        injected += busy;
        if busy == 0 {
            break;
        }
    }
    assert!(injected > 2, "the request prepares, faults and decommits");
}

archipelago_testing::on_geometries_that_decommit!(
    a_range_that_was_not_undone_is_not_prepared_twice
);
