//! Memory that CPUs keep is found before a request is refused: free slots of full spans, and pages
//! of empty spans.

use archipelago::Cause;

use super::answering::Answering;
use super::*;

/// Bytes of objects of which a span has 64, and how many of them are freed, one of so many: fewer
/// than bring a full span into the queue.
const BYTES: usize = 64;
const ONE_OF: usize = 8;

/// Bytes of the largest slots, whose spans have eight pages, and pages that a CPU keeps.
const LARGEST: usize = 32_768;
const KEPT: usize = 64;

type Subject<K> = OwnHeap<Plain32, K>;

fn page() -> usize {
    Plain32::GEOMETRY.page_bytes()
}

/// A heap that has memory for a few hundred pages.
fn small<K: Kernel>() -> Box<Subject<K>> {
    let heap = heap::<Plain32, K>().expect("a good window");
    heap.set_limit(heap.stats().mapped_ready + 200 * page());
    heap
}

fn fill<K: Kernel>(heap: &Subject<K>, bytes: usize, flags: AllocFlags) -> Vec<NonNull<u8>> {
    let get = || heap.allocate(layout(bytes, 8), flags).ok();
    let objects = core::iter::from_fn(|| Some(get()?.cast()));
    objects.collect()
}

fn free_all<K: Kernel>(heap: &Subject<K>, objects: Vec<NonNull<u8>>, bytes: usize) {
    for object in objects {
        free(heap, object, bytes);
    }
    check(heap, 0);
}

/// Frees few of the objects of each span, and returns how many.
fn free_few<K: Kernel>(heap: &Subject<K>, objects: &mut Vec<NonNull<u8>>) -> usize {
    let before = objects.len();
    let mut number = 0;
    objects.retain(|object| {
        number += 1;
        if number % ONE_OF == 0 {
            free(heap, *object, BYTES);
        }
        number % ONE_OF != 0
    });
    check(heap, objects.len());
    before - objects.len()
}

#[test]
fn free_slots_of_full_spans_are_found_before_a_refusal() {
    Hosted::set_cpu(CpuId(0));
    let heap = small::<HostedCpus>();
    // So that it has a block.
    Hosted::set_cpu(CpuId(1));
    let object = get(&heap, BYTES);
    free(&heap, object, BYTES);
    // CPU 2 has none when there is no memory for it.
    Hosted::set_cpu(CpuId(0));
    let mut objects = fill(&heap, BYTES, NONE);
    for (freer, taker) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (2, 2)] {
        Hosted::set_cpu(CpuId(freer));
        let freed = free_few(&heap, &mut objects);
        assert!(freed > 100, "{freed}");
        Hosted::set_cpu(CpuId(taker));
        let again = fill(&heap, BYTES, NONE);
        assert_eq!(again.len(), freed, "freed on {freer}, taken on {taker}");
        objects.extend(again);
        check(&heap, objects.len());
    }
    free_all(&heap, objects, BYTES);
    all_goes_back(&heap);
}

#[test]
fn free_slots_of_full_spans_of_one_cpu_are_found() {
    let heap = small::<SingleCpu<Hosted>>();
    let mut objects = fill(&heap, BYTES, NONE);
    let freed = free_few(&heap, &mut objects);
    assert!(fill(&heap, 200, NONE).is_empty(), "it is another class");
    let again = fill(&heap, BYTES, NONE);
    assert_eq!(again.len(), freed);
    objects.extend(again);
    free_all(&heap, objects, BYTES);
    all_goes_back(&heap);
}

/// CPU 1 has the slots, and CPU 0 wants them.
#[test]
fn other_cpus_are_asked_for_free_slots_of_full_spans() {
    Answering::run_on(1);
    let heap = small::<Answering>();
    let mut objects = fill(&heap, BYTES, NONE);
    let freed = free_few(&heap, &mut objects);
    Answering::run_on(0);
    assert!(fill(&heap, BYTES, NONE).is_empty(), "nobody else can enter");
    Answering::answer();
    let again = fill(&heap, BYTES, NONE);
    assert_eq!(again.len(), freed);
    objects.extend(again);
    // Those of a CPU that is offline need no answer.
    Answering::run_on(1);
    let freed = free_few(&heap, &mut objects);
    Answering::set_online(1, false);
    Answering::run_on(0);
    let again = fill(&heap, BYTES, NONE);
    assert_eq!(again.len(), freed);
    Answering::set_online(1, true);
    objects.extend(again);
    free_all(&heap, objects, BYTES);
}

/// Makes CPU 0 keep empty spans of eight pages. Returns the pages of all spans.
fn keep_long_spans(heap: &Subject<HostedCpus>) -> usize {
    Hosted::set_cpu(CpuId(0));
    let objects = (0..KEPT * page() / LARGEST).map(|_| get(heap, LARGEST));
    free_all(heap, objects.collect(), LARGEST);
    heap.stats().of(Purpose::Objects) / page()
}

/// Requests that must not grow have the empty spans of their CPU, whatever their length.
#[test]
fn requests_that_must_not_grow_have_the_pages_of_empty_spans() {
    for flags in [AllocFlags::NO_GROW, AllocFlags::ATOMIC] {
        let heap = heap::<Plain32, HostedCpus>().expect("a good window");
        let kept = keep_long_spans(&heap);
        assert!(kept > KEPT / 2, "{kept}");
        let ready = heap.stats().mapped_ready;
        let objects = fill(&heap, 2000, flags);
        let bytes = objects.len() * 2048;
        assert!(bytes >= kept * page() * 4 / 5, "{bytes} of {kept} pages");
        assert_eq!(heap.stats().mapped_ready, ready);
        free_all(&heap, objects, 2000);

        let kept = keep_long_spans(&heap);
        let runs = core::iter::from_fn(|| heap.pages().allocate(1, 1, flags).ok());
        let runs: Vec<_> = runs.collect();
        assert!(runs.len() >= kept * 4 / 5, "{} of {kept}", runs.len());
        drop(runs);
        all_goes_back(&heap);
    }
}

/// A heap at its limit, of which CPU 0 keeps pages, and the pages; the code runs on CPU 1.
fn at_its_limit() -> (Box<Subject<HostedCpus>>, usize) {
    let heap = heap::<Plain32, HostedCpus>().expect("a good window");
    let kept = keep_long_spans(&heap);
    Hosted::set_cpu(CpuId(1));
    let object = get(&heap, 8);
    free(&heap, object, 8);
    heap.scavenge(0).expect("not busy");
    let kept = kept.max(keep_long_spans(&heap));
    heap.set_limit(heap.stats().mapped_ready);
    Hosted::set_cpu(CpuId(1));
    (heap, kept)
}

#[test]
fn runs_of_pages_have_what_other_cpus_keep() {
    let (heap, kept) = at_its_limit();
    let run = heap.pages().allocate(kept / 2, 1, NONE);
    let run = run.expect("another CPU keeps so much");
    let refused = heap.pages().allocate(2 * kept, 1, NONE);
    assert!(refused.is_err_and(|error| matches!(error.cause, Cause::Limit { .. })));
    check(&heap, 0);
    drop(run);
    all_goes_back(&heap);
}

#[test]
fn the_reserve_has_what_other_cpus_keep() {
    let (heap, kept) = at_its_limit();
    heap.set_reserve(kept / 2)
        .expect("another CPU keeps so much");
    assert!(heap.set_reserve(4 * kept).is_err());
    check(&heap, 0);
    heap.set_reserve(0).expect("nothing is needed");
    all_goes_back(&heap);
}
