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
    let window = lone_window::<G>(56 * G::GEOMETRY.arena_bytes());
    let machine = Sim::builder().adjacent_frames(true).build();
    Arc::new(Rig::on(machine, &[window]))
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
    // A refusal undoes what was made in as many steps, of new pages as of old ones.
    let refuse = || {
        rig.machine.set_available_frames(PAGES / 2);
        let refused = rig.allocate(long::<G>(), AllocFlags::empty());
        refused.expect_err("half of the frames");
        rig.machine.set_available_frames(usize::MAX / 2);
    };
    refuse();
    let block = rig.allocate(long::<G>(), AllocFlags::empty());
    rig.free(block.expect("memory"));
    assert!(rig.heap.scavenge(PAGES).expect("nobody is inside") >= PAGES - MOST);
    let block = rig.allocate(long::<G>(), AllocFlags::empty());
    rig.free(block.expect("memory"));
    rig.verify();
    assert!(rig.heap.scavenge(2 * PAGES).is_ok());
    refuse();
    rig.machine.clear_hook();
    let longest = longest.load(Ordering::Relaxed);
    assert!((1..=MOST).contains(&longest), "{longest} pages");
    rig.verify();
    rig.check();
}

/// Memory for a long request that other free pages have: a few of them lose it at once, and then
/// the gate is open. Nothing becomes Ready for a request that the limit forbids.
fn free_pages_lose_their_memory_a_few_at_once<G: SimGeometry>() {
    const LEFT: usize = 100;
    for is_limit in [false, true] {
        for is_found in [false, true] {
            let rig = heap::<G>();
            let page = Rig::<G>::PAGE;
            let [first, between, spare, above] =
                [PAGES, 40, PAGES, 40].map(|pages| rig.get(pages * page, 8));
            if is_found {
                rig.free(first);
                rig.heap.scavenge(2 * PAGES).expect("nobody is inside");
            }
            // Too short for what is asked for.
            rig.free(spare);
            let ready = rig.heap.stats().mapped_ready;
            if is_limit {
                rig.heap.set_limit(ready + LEFT * page);
            } else {
                let granules = page / G::GEOMETRY.granule_bytes();
                rig.machine.set_available_frames(LEFT * granules);
            }
            let pages = if is_found { PAGES } else { PAGES + 50 };
            let taken = Arc::new(AtomicUsize::new(0));
            let (noted, since) = (Arc::clone(&taken), AtomicUsize::new(0));
            rig.machine.on_call(move |call| {
                let pages = call.range.bytes() / Rig::<G>::PAGE;
                if call.kind == Kind::Decommit {
                    assert!(pages <= MOST, "{pages} pages");
                    noted.fetch_add(pages, Ordering::Relaxed);
                    let since = pages + since.fetch_add(pages, Ordering::Relaxed);
                    assert!(is_limit || since <= MOST, "{since} pages for one step");
                } else {
                    assert!(call.kind != Kind::Commit || pages <= MOST, "{call}");
                    since.store(0, Ordering::Relaxed);
                }
            });
            let block = rig.get(pages * page, 8);
            let more = rig.allocate(layout(3 * PAGES * page, 8), AllocFlags::empty());
            more.expect_err("there is less");
            rig.machine.clear_hook();
            let taken = taken.load(Ordering::Relaxed);
            assert!(taken >= PAGES - 2 * LEFT, "{taken} pages");
            rig.heap.set_limit(usize::MAX);
            rig.machine.set_available_frames(usize::MAX / 2);
            [block, between, above]
                .into_iter()
                .for_each(|block| rig.free(block));
            if !is_found {
                rig.free(first);
            }
            rig.verify();
            rig.check();
        }
    }
}

/// Handlers that take a page in every step find one: the reserve is filled up between the steps.
fn handlers_are_served_throughout<G: SimGeometry>() {
    while_handlers_come::<G>(Kind::Commit, |rig| {
        let block = rig.allocate(long::<G>(), AllocFlags::empty());
        rig.free(block.expect("memory"));
    });
}

/// A run in adjacent frames loses those that it has in steps, and the gate is open between them.
fn frames_are_exchanged_in_steps<G: SimGeometry>() {
    while_handlers_come::<G>(Kind::Decommit, |rig| {
        let pages = rig.heap.pages();
        let run = pages.allocate_adjacent(PAGES, 1, AllocFlags::empty());
        assert_eq!(run.expect("memory").count(), PAGES);
    });
}

/// Makes a long request, and has a handler take pages in every step of the kind `step`, which is
/// for a few pages.
fn while_handlers_come<G: SimGeometry>(step: Kind, request: impl Fn(&Rig<G>)) {
    const RESERVE: usize = 4;
    let rig = heap::<G>();
    rig.heap.set_reserve(RESERVE).expect("memory");
    let page = layout(Rig::<G>::PAGE, Rig::<G>::PAGE);
    let handler = Arc::downgrade(&rig);
    rig.machine.on_call(move |call| {
        let pages = call.range.bytes() / Rig::<G>::PAGE;
        let is_step = call.kind == step && pages > RESERVE;
        assert!(!is_step || pages <= MOST, "{pages} pages");
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
    request(&rig);
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
    rig.verify();
    rig.check();
}

archipelago_testing::on_geometries_that_decommit!(
    every_call_is_for_a_few_pages,
    frames_are_exchanged_in_steps,
    free_pages_lose_their_memory_a_few_at_once,
    handlers_are_served_throughout,
);
