//! Pages that are made Ready together with a run below them, in a heap with plenty of memory whose
//! CPUs own spans.

use alloc::boxed::Box;

use archipelago::{AllocFlags, Cause, Heap, OwnedRun, Purpose, Stats};
use archipelago_api::{Kernel, VirtAddr};
use archipelago_sim::{Hosted, HostedCpus, Kind, Mode, Sim, SimGeometry, State};
use archipelago_testing::{lone_window, on_geometries_that_decommit};

type OwnHeap<G> = Heap<Sim<G>, HostedCpus>;
type Run<'h, G> = OwnedRun<'h, Sim<G>, HostedCpus>;

const NONE: AllocFlags = AllocFlags::empty();

/// One of so many pages is made Ready ahead, and no more than `MOST` at once.
const SHARE: usize = 512;
const MOST: usize = 16;

/// Pages of the block that pages ahead come from, whole words of a bitmap.
const BLOCK: usize = 64;

/// A heap with a block of pages that lack memory, below all other free pages.
struct Bed<'h, G: SimGeometry> {
    heap: &'h OwnHeap<G>,
    machine: Sim<G>,
    /// The first page of the block.
    start: VirtAddr,
    /// The runs that hold the rest.
    _held: Vec<Run<'h, G>>,
}

impl<'h, G: SimGeometry> Bed<'h, G> {
    const PAGE: usize = G::GEOMETRY.page_bytes();

    /// A bed whose heap has `pages` Ready pages and some more. `None` where chunks or the space are
    /// too small.
    fn new(heap: &'h OwnHeap<G>, pages: usize) -> Option<Self> {
        let window = 2 * (pages + 4 * SHARE) * Self::PAGE;
        let space = G::GEOMETRY.last_offset().value();
        if G::GEOMETRY.chunk_pages() <= BLOCK || window > space / 4 {
            return None;
        }
        let machine = Sim::<G>::default();
        heap.init(&[lone_window::<G>(window)], machine.clone())
            .expect("a good window");
        let runs = heap.pages();
        let block = runs.allocate(BLOCK, BLOCK * Self::PAGE, NONE);
        let block = block.expect("memory");
        let start = block.base();
        let mut held = Vec::new();
        // All pages below the block are taken.
        loop {
            let run = runs.allocate(1, 1, NONE).expect("memory");
            let is_above = run.base().value() > start.value();
            held.push(run);
            if is_above {
                break;
            }
        }
        if pages > 0 {
            held.push(runs.allocate(pages, 1, NONE).expect("memory"));
        }
        drop(block);
        heap.scavenge(usize::MAX).expect("not busy");
        let bed = Self {
            heap,
            machine,
            start,
            _held: held,
        };
        bed.check();
        assert_eq!(bed.heap.stats().of(Purpose::Free), 0);
        Some(bed)
    }

    /// Pages that are to be made Ready ahead.
    fn most(&self) -> usize {
        MOST.min(self.heap.stats().mapped_ready / Self::PAGE / SHARE)
    }

    fn check(&self) {
        let stats = self.heap.stats();
        assert_eq!(self.heap.verify(), Ok(()), "{stats}");
        let bytes = self.machine.count(State::Ready) * G::GEOMETRY.granule_bytes();
        assert_eq!(stats.mapped_ready, bytes);
    }

    fn get(&self, pages: usize) -> Run<'h, G> {
        self.heap.pages().allocate(pages, 1, NONE).expect("memory")
    }

    /// The pages of the block that have memory, from the first up, and those above all lack it.
    fn ready(&self) -> usize {
        let state = |page: usize| {
            let address = self.start.value() + page * Self::PAGE;
            self.machine.state(VirtAddr::new(address))
        };
        let ready = (0..BLOCK).take_while(|page| state(*page) == State::Ready);
        let ready = ready.count();
        for page in ready..BLOCK {
            assert_eq!(state(page), State::Prepared, "{page}");
        }
        ready
    }

    fn commits(&self) -> usize {
        self.machine.calls().of(Kind::Commit)
    }

    /// Checks what a run of `pages` pages and `ahead` pages above it have changed.
    fn check_change(&self, before: &Stats, pages: usize, ahead: usize) {
        self.check();
        let stats = self.heap.stats();
        let bytes = |pages: usize| pages * Self::PAGE;
        assert_eq!(stats.of(Purpose::Free), bytes(ahead));
        let runs = before.of(Purpose::Runs) + bytes(pages);
        assert_eq!(stats.of(Purpose::Runs), runs);
        let ready = before.mapped_ready + bytes(pages + ahead);
        assert_eq!(stats.mapped_ready, ready);
        assert_eq!(stats.free_pages, before.free_pages - pages);
        let scavenged = before.scavenged_pages - pages - ahead;
        assert_eq!(stats.scavenged_pages, scavenged);
        assert_eq!(stats.refusals, before.refusals);
        assert_eq!(self.ready(), pages + ahead);
    }
}

fn pages_above_a_run_are_ready_and_free<G: SimGeometry>() {
    for (pages, least, most) in [(3 * SHARE, 3, 3), ((MOST + 1) * SHARE, MOST, MOST)] {
        for count in [1, 3] {
            let heap: Box<OwnHeap<G>> = Box::default();
            let Some(bed) = Bed::<G>::new(&heap, pages) else {
                return;
            };
            let (before, ahead) = (bed.heap.stats(), bed.most());
            assert!(least <= ahead && ahead <= most, "{ahead}");
            let calls = bed.commits();
            let run = bed.get(count);
            assert_eq!(run.base(), bed.start);
            assert_eq!(bed.commits(), calls + 1);
            bed.check_change(&before, count, ahead);
            // The next requests find them, and need no machine.
            let mut held = Vec::new();
            for page in 0..ahead {
                let next = bed.get(1);
                let address = bed.start.value() + (count + page) * Bed::<G>::PAGE;
                assert_eq!(next.base(), VirtAddr::new(address));
                assert_eq!(bed.commits(), calls + 1);
                bed.check();
                held.push(next);
            }
            assert_eq!(bed.heap.stats().of(Purpose::Free), 0);
            held.push(bed.get(1));
            assert_eq!(bed.commits(), calls + 2);
            drop(held);
            drop(run);
            bed.heap.scavenge(usize::MAX).expect("not busy");
            bed.check();
            assert_eq!(bed.heap.stats().mapped_ready, before.mapped_ready);
        }
    }
}

/// A heap of fewer pages makes none Ready that nobody has asked for.
fn a_small_heap_makes_no_pages_ready_ahead<G: SimGeometry>() {
    let heap: Box<OwnHeap<G>> = Box::default();
    let Some(bed) = Bed::<G>::new(&heap, 0) else {
        return;
    };
    assert_eq!(bed.most(), 0);
    let before = bed.heap.stats();
    let run = bed.get(2);
    assert_eq!(run.base(), bed.start);
    bed.check_change(&before, 2, 0);
}

/// The share bounds what is ahead at any time, up to the end of the block.
fn no_more_than_the_share_is_ahead<G: SimGeometry>() {
    let heap: Box<OwnHeap<G>> = Box::default();
    let Some(bed) = Bed::<G>::new(&heap, 5 * SHARE) else {
        return;
    };
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..20 {
        let (mut held, mut pages) = (Vec::new(), 0);
        while pages < BLOCK {
            let run = bed.get(random.usize(1..=(BLOCK - pages).min(15)));
            let address = bed.start.value() + pages * Bed::<G>::PAGE;
            assert_eq!(run.base(), VirtAddr::new(address));
            pages += run.count();
            held.push(run);
            bed.check();
            let ahead = bed.ready() - pages;
            assert!(ahead <= bed.most(), "{ahead}");
            assert_eq!(bed.heap.stats().of(Purpose::Free), ahead * Bed::<G>::PAGE);
        }
        drop(held);
        bed.heap.scavenge(usize::MAX).expect("not busy");
        assert_eq!(bed.ready(), 0);
    }
}

/// Makes a request where `refuse` has the longer commit refused, which serves it by itself.
fn refuse_ahead<G: SimGeometry>(refuse: impl Fn(&Bed<'_, G>, usize), allow: impl Fn(&Bed<'_, G>)) {
    let heap: Box<OwnHeap<G>> = Box::default();
    let Some(bed) = Bed::<G>::new(&heap, 4 * SHARE) else {
        return;
    };
    let ahead = bed.most();
    assert!(ahead > 1);
    for count in [1, 2] {
        for spare in 0..ahead {
            let (before, frames) = (bed.heap.stats(), frames(&bed.machine));
            refuse(&bed, count + spare);
            let run = bed.get(count);
            allow(&bed);
            assert_eq!(run.base(), bed.start);
            bed.check_change(&before, count, 0);
            drop(run);
            bed.heap.scavenge(usize::MAX).expect("not busy");
            assert_eq!(self::frames(&bed.machine), frames);
        }
    }
    // Nothing stays of that: the next one is served as ever.
    let before = bed.heap.stats();
    let _run = bed.get(1);
    bed.check_change(&before, 1, ahead);
}

/// Frames that the machine has of its source.
fn frames<G: SimGeometry>(machine: &Sim<G>) -> usize {
    machine.frames_taken() - machine.frames_returned()
}

fn frames_for_the_run_alone_serve_it<G: SimGeometry>() {
    let granules = G::GEOMETRY.page_bytes() / G::GEOMETRY.granule_bytes();
    refuse_ahead::<G>(
        |bed, pages| bed.machine.set_available_frames(pages * granules),
        |bed| bed.machine.set_available_frames(usize::MAX),
    );
}

fn a_limit_that_admits_the_run_alone_serves_it<G: SimGeometry>() {
    refuse_ahead::<G>(
        |bed, pages| {
            let ready = bed.heap.stats().mapped_ready;
            bed.heap.set_limit(ready + pages * Bed::<G>::PAGE);
        },
        |bed| bed.heap.set_limit(usize::MAX),
    );
}

fn a_refusal_of_the_machine_is_none_of_the_run<G: SimGeometry>() {
    refuse_ahead::<G>(
        |bed, _| bed.machine.fail_nth(1, Mode::Once),
        |bed| bed.machine.disarm(),
    );
}

/// A machine that is busy for the longer commit serves the shorter one.
fn a_busy_machine_is_asked_for_the_run_again<G: SimGeometry>() {
    let state = Hosted::disable_interrupts();
    refuse_ahead::<G>(
        |bed, _| bed.machine.busy_nth(1, Mode::Once),
        |bed| bed.machine.disarm(),
    );
    // SAFETY: the state is that of the last call.
    unsafe { Hosted::restore_interrupts(state) };
}

/// A request that is refused altogether changes nothing.
fn a_run_that_is_refused_leaves_no_page_ahead<G: SimGeometry>() {
    let heap: Box<OwnHeap<G>> = Box::default();
    let Some(bed) = Bed::<G>::new(&heap, 4 * SHARE) else {
        return;
    };
    let (before, frames) = (bed.heap.stats(), frames(&bed.machine));
    let refused = || {
        let error = bed.heap.pages().allocate(2, 1, NONE);
        let cause = error.expect_err("there is no memory").cause;
        bed.check();
        let mut stats = bed.heap.stats();
        stats.refusals = before.refusals;
        assert_eq!(stats, before);
        assert_eq!(bed.ready(), 0);
        assert_eq!(self::frames(&bed.machine), frames);
        cause
    };
    let granules = G::GEOMETRY.page_bytes() / G::GEOMETRY.granule_bytes();
    bed.machine.set_available_frames(2 * granules - 1);
    assert!(matches!(refused(), Cause::Frames { .. }));
    bed.machine.set_available_frames(usize::MAX);
    bed.heap.set_limit(before.mapped_ready + Bed::<G>::PAGE);
    assert!(matches!(refused(), Cause::Limit { .. }));
    bed.heap.set_limit(usize::MAX);
    let _run = bed.get(2);
    let mut now = before;
    now.refusals = bed.heap.stats().refusals;
    bed.check_change(&now, 2, bed.most());
}

on_geometries_that_decommit!(
    pages_above_a_run_are_ready_and_free,
    a_small_heap_makes_no_pages_ready_ahead,
    no_more_than_the_share_is_ahead,
    frames_for_the_run_alone_serve_it,
    a_limit_that_admits_the_run_alone_serves_it,
    a_refusal_of_the_machine_is_none_of_the_run,
    a_busy_machine_is_asked_for_the_run_again,
    a_run_that_is_refused_leaves_no_page_ahead,
);
