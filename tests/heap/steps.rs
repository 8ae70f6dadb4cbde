//! Long requests hold the growth gate for bounded steps.

use alloc::sync::Arc;
use core::cell::RefCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use archipelago::{AllocError, AllocFlags, Kernel, Purpose};
use archipelago_sim::{Hosted, Kind, Sim, SimGeometry};
use archipelago_testing::{Block, Rig, layout, lone_window};

/// Pages that one call of the machine makes Ready at most.
const MOST: usize = 128;

/// Pages of a long request.
const PAGES: usize = 1000;

std::thread_local! {
    /// The pages that handlers were served, or not.
    static TAKEN: RefCell<Vec<Result<Block, AllocError>>> = const { RefCell::new(Vec::new()) };
}

fn heap<G: SimGeometry>() -> Arc<Rig<G>> {
    let window = lone_window::<G>(24 * G::GEOMETRY.arena_bytes());
    Arc::new(Rig::on(Sim::default(), &[window]))
}

fn long<G: SimGeometry>() -> core::alloc::Layout {
    layout(PAGES * Rig::<G>::PAGE, 8)
}

/// Growth, memory for pages that lost it, and scavenging: no call is for more than a step.
fn every_call_is_for_a_few_pages<G: SimGeometry>() {
    let rig = heap::<G>();
    rig.free(rig.get(8, 8));
    let longest = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&longest);
    rig.machine.on_call(move |call| {
        if matches!(call.kind, Kind::Commit | Kind::Decommit | Kind::Fault) {
            noted.fetch_max(call.range.bytes() / Rig::<G>::PAGE, Ordering::Relaxed);
        }
    });
    let block = rig.allocate(long::<G>(), AllocFlags::empty());
    rig.free(block.expect("memory"));
    assert!(rig.heap.scavenge(PAGES).expect("nobody is inside") >= PAGES - MOST);
    let block = rig.allocate(long::<G>(), AllocFlags::empty());
    rig.free(block.expect("memory"));
    rig.verify();
    assert!(rig.heap.scavenge(2 * PAGES).is_ok());
    // A refusal undoes what was made in as many steps.
    rig.machine.set_available_frames(PAGES / 2);
    let refused = rig.allocate(long::<G>(), AllocFlags::empty());
    refused.expect_err("half of the frames");
    rig.machine.clear_hook();
    let longest = longest.load(Ordering::Relaxed);
    assert!((1..=MOST).contains(&longest), "{longest} pages");
    rig.verify();
    rig.check();
}

/// Handlers that take a page in every step find one: the reserve is filled up between the steps.
fn handlers_are_served_throughout<G: SimGeometry>() {
    const RESERVE: usize = 4;
    let rig = heap::<G>();
    rig.heap.set_reserve(RESERVE).expect("memory");
    let page = layout(Rig::<G>::PAGE, Rig::<G>::PAGE);
    let handler = Arc::downgrade(&rig);
    rig.machine.on_call(move |call| {
        let is_step = call.kind == Kind::Commit && call.range.bytes() > RESERVE * Rig::<G>::PAGE;
        let Some(rig) = handler.upgrade().filter(|_| is_step) else {
            return;
        };
        let interrupts = Hosted::disable_interrupts();
        // Twice what a handler that comes once a step needs.
        let served = [(); 2].map(|()| rig.allocate(page, AllocFlags::ATOMIC));
        // SAFETY: the state is of the last call, which masked interrupts on this CPU.
        unsafe { Hosted::restore_interrupts(interrupts) };
        TAKEN.with_borrow_mut(|taken| taken.extend(served));
    });
    let block = rig.allocate(long::<G>(), AllocFlags::empty());
    rig.machine.clear_hook();
    let taken = TAKEN.take();
    assert!(
        taken.len() >= 2 * (PAGES / MOST),
        "{} requests",
        taken.len()
    );
    for served in taken {
        rig.free(served.expect("a handler is served"));
    }
    assert_eq!(
        rig.heap.stats().of(Purpose::Reserve),
        RESERVE * Rig::<G>::PAGE
    );
    rig.free(block.expect("memory"));
    rig.verify();
    rig.check();
}

archipelago_testing::on_geometries_that_decommit!(
    every_call_is_for_a_few_pages,
    handlers_are_served_throughout,
);
