//! Interrupt handlers that allocate: they interrupt the mapper, the kernel's use of its own locks,
//! or nothing.
//!
//! A handler is code that runs on the same CPU, in the same thread of control, with interrupts
//! masked, while what it interrupted stands still: here it is called from inside the machine.

use alloc::sync::Arc;
use core::alloc::GlobalAlloc;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use archipelago::{AllocFlags, Cause, Purpose, Window};
use archipelago_api::{Kernel, Patience};
use archipelago_sim::{Hosted, Kind, Sim, SimGeometry};
use archipelago_testing::{Rig, layout, lone_window, on_geometries_that_decommit};

/// Bytes of a large object.
const LARGE: usize = 33 << 10;

/// Pages of the reserve.
const RESERVE: usize = 40;

/// Runs `handler` as an interrupt handler.
fn interrupt<R>(handler: impl FnOnce() -> R) -> R {
    let interrupts = Hosted::disable_interrupts();
    let result = handler();
    // SAFETY: the state is of the last call, which masked interrupts on this CPU.
    unsafe { Hosted::restore_interrupts(interrupts) };
    result
}

fn heap<G: SimGeometry>() -> Arc<Rig<G>> {
    Arc::new(Rig::<G>::on(Sim::builder().build(), &[window::<G>()]))
}

fn window<G: SimGeometry>() -> Window {
    lone_window::<G>(8 * G::GEOMETRY.arena_bytes())
}

fn check<G: SimGeometry>(rig: &Rig<G>) {
    if let Err(violation) = rig.heap.verify() {
        panic!("{violation}\n{}", rig.heap.stats());
    }
    rig.check();
}

/// Runs `handler` in the middle of every call of the machine, as an interrupt.
fn interrupt_every_call<G: SimGeometry>(
    rig: &Rig<G>,
    handler: impl Fn(Kind) + Send + Sync + 'static,
) {
    rig.machine
        .on_call(move |call| interrupt(|| handler(call.kind)));
}

/// Makes the machine prepare, commit, decommit and fault.
fn use_the_machine<G: SimGeometry>(rig: &Rig<G>) {
    let pages = 2 * G::GEOMETRY.chunk_pages();
    let large = layout(pages * Rig::<G>::PAGE, 8);
    let block = rig.allocate(large, AllocFlags::empty()).expect("memory");
    rig.free(block);
    let scavenged = rig.heap.scavenge(pages);
    assert!(scavenged.expect("the machine is not in use") > 0);
    rig.machine.set_available_frames(pages / 2);
    rig.allocate(layout(2 * large.size(), 8), AllocFlags::empty())
        .expect_err("there are not enough frames");
    rig.machine.set_available_frames(usize::MAX / 2);
}

/// Requests of handlers, counted by their outcome.
#[derive(Debug, Default)]
struct Outcomes {
    served: AtomicUsize,
    refused: AtomicUsize,
}

impl Outcomes {
    fn count(&self, served: bool) {
        let counter = if served { &self.served } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Ordinary requests of a handler that interrupted the mapper: served from what is Ready or
/// refused, never waited for and never taken for requests of the mapper's own.
fn a_handler_that_interrupts_the_mapper<G: SimGeometry>() {
    let rig = heap::<G>();
    rig.heap.set_reserve(RESERVE).expect("there is memory");
    let (small, large) = (Arc::new(Outcomes::default()), Arc::new(Outcomes::default()));
    {
        let (heap, small, large) = (Arc::clone(&rig), Arc::clone(&small), Arc::clone(&large));
        interrupt_every_call(&rig, move |_| {
            let results = [(24, &small), (2 * G::GEOMETRY.chunk_bytes(), &large)];
            for (size, result) in results {
                let block = heap.allocate(layout(size, 8), AllocFlags::empty());
                result.count(block.is_ok());
                if let Ok(block) = block {
                    block.fill(1);
                    heap.free(block);
                }
            }
        });
    }
    use_the_machine(&rig);
    rig.machine.clear_hook();
    println!("small {small:?}, large {large:?}");
    assert_eq!(small.refused(), 0, "the reserve serves a box in a handler");
    assert!(small.served() >= 4 && large.refused() >= 4);
    check(&rig);
}

/// Requests through `GlobalAlloc`, by a kernel whose context has no flags and by one that knows
/// that it is in a handler.
fn a_box_in_a_handler<G: SimGeometry>() {
    for context in [AllocFlags::empty(), AllocFlags::ATOMIC] {
        let rig = heap::<G>();
        rig.heap.set_reserve(RESERVE).expect("there is memory");
        let results = Arc::new(Outcomes::default());
        {
            let (heap, results) = (Arc::clone(&rig), Arc::clone(&results));
            interrupt_every_call(&rig, move |_| {
                let layout = layout(100, 8);
                Hosted::set_context(context);
                // SAFETY: the layout is not empty.
                let memory = unsafe { heap.heap.alloc_zeroed(layout) };
                Hosted::set_context(AllocFlags::empty());
                results.count(!memory.is_null());
                if let Some(memory) = NonNull::new(memory) {
                    // SAFETY: it was allocated just now, with that layout.
                    unsafe { heap.heap.dealloc(memory.as_ptr(), layout) };
                }
            });
        }
        use_the_machine(&rig);
        rig.machine.clear_hook();
        assert!(results.served() >= 4 && results.refused() == 0);
        check(&rig);
    }
}

/// A handler may free any object, whatever it interrupted.
fn a_handler_that_frees<G: SimGeometry>() {
    let rig = heap::<G>();
    let live: Vec<_> = [24, 24, 200, LARGE, 2 * LARGE]
        .map(|size| rig.get(size, 8).pointer.as_ptr().expose_provenance())
        .into_iter()
        .zip([24, 24, 200, LARGE, 2 * LARGE])
        .collect();
    let count = live.len();
    let live = Arc::new(Mutex::new(live));
    let freed = Arc::new(AtomicUsize::new(0));
    {
        let (heap, live, freed) = (Arc::clone(&rig), Arc::clone(&live), Arc::clone(&freed));
        interrupt_every_call(&rig, move |_| {
            let next = live.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some((address, size)) = next {
                let pointer = core::ptr::with_exposed_provenance_mut(address);
                let pointer = NonNull::new(pointer).expect("an object has an address");
                // SAFETY: the object is live, was allocated with that layout, and is popped once.
                unsafe { heap.heap.deallocate(pointer, layout(size, 8)) };
                freed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    use_the_machine(&rig);
    rig.machine.clear_hook();
    assert_eq!(freed.load(Ordering::Relaxed), count);
    check(&rig);
}

fn ready_and_free<G: SimGeometry>(rig: &Rig<G>) -> [usize; 4] {
    let stats = rig.heap.stats();
    [
        stats.mapped_ready,
        stats.prepared,
        stats.free_pages,
        stats.scavenged_pages,
    ]
}

/// A handler that interrupted the kernel while it held the lock around its mapper: the request
/// becomes an atomic one.
fn a_handler_that_interrupts_the_holder_of_the_lock<G: SimGeometry>() {
    let rig = heap::<G>();
    let page = layout(Rig::<G>::PAGE, Rig::<G>::PAGE);
    let first = rig.get(24, 8);
    let before = ready_and_free(&rig);
    let held = rig.machine.hold();
    let refused = interrupt(|| rig.allocate(page, AllocFlags::empty()));
    let cause = refused
        .expect_err("nothing is Ready but the slots of a span")
        .cause;
    assert!(
        matches!(cause, Cause::Busy | Cause::NotReady { bytes: 1.. }),
        "{cause}"
    );
    let slot = interrupt(|| rig.allocate(layout(24, 8), AllocFlags::empty()));
    rig.free(slot.expect("a span has a free slot"));
    assert_eq!(ready_and_free(&rig), before, "as it was");
    let added = interrupt(|| rig.heap.set_reserve(RESERVE));
    assert_eq!(added, Err(Cause::Busy));
    drop(held);
    check(&rig);

    rig.heap.set_reserve(RESERVE).expect("now there is memory");
    let held = rig.machine.hold();
    let mut blocks = Vec::new();
    while let Ok(block) = interrupt(|| rig.allocate(page, AllocFlags::empty())) {
        block.fill(7);
        blocks.push(block);
    }
    assert!(blocks.len() >= RESERVE, "{} served", blocks.len());
    assert_eq!(rig.heap.stats().of(Purpose::Reserve), 0);
    drop(held);
    check(&rig);

    // The next ordinary allocation of pages refills it, also one with interrupts masked.
    blocks.push(interrupt(|| rig.get(Rig::<G>::PAGE, 8)));
    assert_eq!(
        rig.heap.stats().of(Purpose::Reserve),
        RESERVE * Rig::<G>::PAGE
    );
    blocks.push(first);
    for block in blocks {
        rig.free(block);
    }
    check(&rig);
}

/// A kernel that boots with interrupts masked: everything works, and the machine's locks are only
/// tried.
fn booting_with_interrupts_masked<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::builder().build());
    rig.machine.on_call(|call| {
        assert_eq!(call.patience, Patience::Try, "{call}");
        assert!(!Hosted::interrupts_enabled(), "{call}");
    });
    interrupt(|| {
        rig.init(&[window::<G>()]).expect("a good window");
        let above = window::<G>();
        let above = Window::new(above.base + 2 * above.bytes, above.bytes);
        rig.heap.add_window(above).expect("a good window");
        rig.heap.set_reserve(RESERVE).expect("there is memory");
        use_the_machine(&rig);
        assert!(!Hosted::interrupts_enabled());
    });
    rig.machine.clear_hook();
    check(&rig);
}

/// The machine is called with interrupts as the caller left them, and may wait for its locks if
/// they are on.
fn interrupts_stay_on_while_the_machine_works<G: SimGeometry>() {
    let rig = Rig::<G>::uninitialised(Sim::builder().build());
    rig.machine.on_call(|call| {
        assert_eq!(call.patience, Patience::Wait, "{call}");
        assert!(Hosted::interrupts_enabled(), "{call}");
    });
    rig.init(&[window::<G>()]).expect("a good window");
    use_the_machine(&rig);
    rig.machine.clear_hook();
    assert!(rig.machine.calls().total() > 4);
    check(&rig);
}

/// Requests that must not grow report how much would have had to become Ready, from the first one
/// on.
fn a_refusal_says_how_much_is_not_ready<G: SimGeometry>() {
    let rig = heap::<G>();
    let calls = rig.machine.calls();
    for flags in [AllocFlags::NO_GROW, AllocFlags::ATOMIC] {
        for size in [1, 24, 3000, LARGE] {
            let refused = rig.allocate(layout(size, 8), flags);
            let cause = refused.expect_err("nothing is Ready").cause;
            assert!(matches!(cause, Cause::NotReady { bytes: 1.. }), "{cause}");
        }
    }
    assert_eq!(rig.machine.calls(), calls);
    check(&rig);
}

on_geometries_that_decommit!(
    a_handler_that_interrupts_the_mapper,
    a_box_in_a_handler,
    a_handler_that_frees,
    a_handler_that_interrupts_the_holder_of_the_lock,
    booting_with_interrupts_masked,
    interrupts_stay_on_while_the_machine_works,
    a_refusal_says_how_much_is_not_ready,
);
