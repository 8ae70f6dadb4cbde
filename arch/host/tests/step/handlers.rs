//! A program that is interrupted after every instruction of its calls, by a handler that uses the
//! same heap.

use core::alloc::Layout;
use core::cell::Cell;

use archipelago_host::{Heap, Host, Kernel, Window};

use crate::flag::{self, Watched};
use crate::kernel;
use crate::objects::{Actor, Caller, Objects};
use crate::trap::{self, Next, fault};

/// Address space of the heap.
const WINDOW: Window = Window::new(BASE, BYTES);
const BASE: usize = 0x4444_4444_0000;
const BYTES: usize = 64 << 20;

/// Pages that are kept for handlers.
const RESERVE: usize = 64;

/// Calls between two looks at the whole heap.
const LOOK: u32 = 100;

/// Objects that the program keeps, and that there are with those of handlers.
pub(crate) const MOST: [usize; 2] = [400, 200];

/// Makes calls with something done after every instruction.
pub(crate) struct Stepping<'w> {
    pub(crate) work: &'w dyn Fn() -> Next,
    pub(crate) steps: Cell<u64>,
}

/// Makes calls at once, as handlers do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct;

impl Caller for Stepping<'_> {
    fn call<R>(&self, call: impl FnOnce() -> R) -> R {
        let (result, steps) = trap::stepped(call, self.work);
        self.steps.set(self.steps.get() + steps);
        result
    }
}

impl Caller for Direct {
    fn call<R>(&self, call: impl FnOnce() -> R) -> R {
        call()
    }
}

/// How a run is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) calls: u32,
    pub(crate) seed: u64,
    /// Handlers run as if the flags of blocks were not there.
    pub(crate) is_without_flag: bool,
}

/// A heap, and the handlers that come while it is used.
struct World<K: Kernel> {
    heap: Heap<Host, K>,
    objects: Objects,
    handler: Actor<Direct>,
    /// The flag of the block, if handlers are to run without it.
    flag: Option<usize>,
    /// Of so many instructions, one is followed by an interrupt.
    one_in: Cell<usize>,
    interrupts: Cell<u64>,
}

/// A heap with the blocks of its CPUs, which the first requests make.
pub(crate) fn heap<K: Kernel>() -> Heap<Host, K> {
    let heap = Heap::new();
    let machine = Host::new().expect("the pages are small");
    heap.init(&[WINDOW], machine).expect("the window is free");
    heap.set_reserve(RESERVE).expect("memory");
    let objects = Objects::new();
    let actor = Actor::new(Direct, 0, 100);
    (0..200).for_each(|_| actor.act(&heap, &objects));
    objects.free_all(&heap);
    heap
}

/// Looks at a heap that nobody uses, and that has so many objects.
pub(crate) fn check<K: Kernel>(heap: &Heap<Host, K>, live: usize) {
    if let Err(violation) = heap.verify() {
        fault(format_args!("{violation}"));
    }
    let stats = heap.stats();
    let counted = stats.small_objects + stats.large_objects;
    if counted != live {
        fault(format_args!("{counted} live objects for {live}"));
    }
}

impl<K: Kernel> World<K> {
    fn on_step(&self) -> Next {
        if !kernel::interrupts_are_enabled() || self.handler.below(self.one_in.get()) != 0 {
            return Next::Step;
        }
        self.interrupts.set(self.interrupts.get() + 1);
        kernel::interrupt(self.any_cpu(), || {
            flag::without(self.flag, || self.handler.act(&self.heap, &self.objects));
        });
        if K::REENTRY.is_by_threads() {
            kernel::migrate(self.any_cpu());
        }
        Next::Step
    }

    fn any_cpu(&self) -> u16 {
        u16::try_from(self.handler.below(K::CPUS.into())).unwrap_or(0)
    }
}

/// Finds the flag of the block: the byte that every allocation changes and restores.
fn find_flag<K: Kernel>(heap: &Heap<Host, K>) -> usize {
    let layout = Layout::new::<u64>();
    let mut found: Option<Vec<usize>> = None;
    for _ in 0..4 {
        let watched = Watched::between(BASE, BASE + BYTES);
        let call = || heap.allocate(layout, K::context());
        let (object, _) = trap::stepped(call, &|| watched.look());
        let mut restored = watched.restored();
        let object = object.expect("memory").cast();
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { heap.deallocate(object, layout) };
        restored.retain(|at| found.as_ref().is_none_or(|found| found.contains(at)));
        found = Some(restored);
    }
    match found.as_deref() {
        Some([flag]) => *flag,
        all => unreachable!("one byte is a flag, and not {all:x?}"),
    }
}

/// Runs a program that allocates and frees, and is interrupted.
pub(crate) fn run<K: Kernel>(run: Run) {
    let heap = heap();
    let flag = run.is_without_flag.then(|| find_flag(&heap));
    let world = World::<K> {
        heap,
        objects: Objects::new(),
        handler: Actor::new(Direct, run.seed, MOST[1]),
        flag,
        one_in: Cell::new(1),
        interrupts: Cell::new(0),
    };
    let heap = &world.heap;
    let work = || world.on_step();
    let stepping = Stepping {
        work: &work,
        steps: Cell::new(0),
    };
    let program = Actor::new(stepping, run.seed + 1, MOST[0]);
    for call in 0..run.calls {
        if call % LOOK == 0 {
            check(heap, world.objects.live());
            // Half of the time the heap may not grow.
            let is_tight = call / LOOK % 2 == 1;
            let limit = if is_tight {
                heap.stats().mapped_ready
            } else {
                usize::MAX
            };
            heap.set_limit(limit);
            world.one_in.set([1, 1, 30][program.below(3)]);
        }
        if call % LOOK == LOOK / 2 {
            let _ = program.caller.call(|| heap.scavenge(8));
        } else {
            program.act(heap, &world.objects);
        }
    }
    check(heap, world.objects.live());
    world.objects.free_all(heap);
    check(heap, 0);
    let interrupts = world.interrupts.get();
    println!(
        "{} calls of {} instructions, {interrupts} interrupts; program: {}; handlers: {}",
        run.calls,
        program.caller.steps.get(),
        program.outcomes(),
        world.handler.outcomes(),
    );
    if interrupts < 20 * u64::from(run.calls) {
        fault(format_args!("{interrupts} interrupts are too few"));
    }
}
