//! Free memory that other CPUs keep, where nobody but a CPU itself may enter its spans.

use archipelago::AllocError;

use super::answering::{Answering, COUNT};
use super::*;

type Subject = OwnHeap<Plain32, Answering>;

/// Objects that each CPU makes and frees, and their bytes.
const EACH: usize = 2000;
const BYTES: usize = 96;

static HEAP: Subject = Heap::new();

fn new_heap() -> Box<Subject> {
    let heap: Box<Subject> = Box::default();
    heap.init(&[lone_window::<Plain32>(64 << 20)], Sim::default())
        .expect("a good window");
    heap
}

/// Each CPU but the first makes objects and frees them: their spans are its own.
fn use_all(heap: &Subject) {
    for cpu in (0..COUNT).rev() {
        Answering::run_on(cpu);
        let count = if cpu == 0 { 1 } else { EACH };
        let objects: Vec<_> = (0..count).map(|_| get(heap, BYTES)).collect();
        objects
            .into_iter()
            .for_each(|object| free(heap, object, BYTES));
    }
    check(heap, 0);
    heap.set_limit(heap.stats().mapped_ready);
}

/// Allocates objects until one is refused.
fn fill(heap: &Subject, bytes: usize) -> (Vec<NonNull<u8>>, AllocError) {
    let mut objects = Vec::new();
    loop {
        match heap.allocate(layout(bytes, 8), NONE) {
            Ok(object) => objects.push(object.cast()),
            Err(error) => return (objects, error),
        }
    }
}

fn free_all(heap: &Subject, objects: Vec<NonNull<u8>>, bytes: usize) {
    for object in objects {
        free(heap, object, bytes);
    }
    check(heap, 0);
}

/// How many objects fit where `bytes` bytes are free, in spans that lose little.
const fn fit(bytes: usize, object: usize) -> usize {
    bytes / object * 9 / 10
}

#[test]
fn other_cpus_are_asked_before_a_refusal() {
    let heap = new_heap();
    use_all(&heap);
    let (alone, _) = fill(&heap, 200);
    assert!(alone.len() < fit(EACH * BYTES, 200), "{}", alone.len());
    free_all(&heap, alone, 200);
    Answering::answer();
    let (all, _) = fill(&heap, 200);
    let least = fit((usize::from(COUNT) - 1) * EACH * BYTES, 200);
    assert!(all.len() >= least, "{} of {least}", all.len());
    free_all(&heap, all, 200);
    // A scavenge asks, too.
    for cpu in 0..COUNT {
        Answering::run_on(cpu);
        free_all(&heap, vec![get(&heap, BYTES)], BYTES);
    }
    Answering::run_on(0);
    all_goes_back(&heap);
}

#[test]
fn nobody_is_asked_with_interrupts_masked() {
    let heap = new_heap();
    use_all(&heap);
    Answering::answer();
    let state = Hosted::disable_interrupts();
    let (alone, _) = fill(&heap, 200);
    // SAFETY: the state is of the last call.
    unsafe { Hosted::restore_interrupts(state) };
    assert_eq!(Answering::asked(), 0);
    let (more, _) = fill(&heap, 200);
    assert!(Answering::asked() > 0);
    assert!(more.len() >= fit(2 * EACH * BYTES, 200), "{}", more.len());
    let all = alone.into_iter().chain(more).collect();
    free_all(&heap, all, 200);
}

#[test]
fn a_cpu_that_is_inside_its_spans_is_asked_three_times_and_then_left_alone() {
    HEAP.init(&[lone_window::<Plain32>(64 << 20)], Sim::default())
        .expect("a good window");
    use_all(&HEAP);
    Answering::answer();
    // CPU 1 is about to take a central span, and has entered its block.
    Answering::between(|| {
        Answering::run_on(0);
        let (objects, _) = fill(&HEAP, 200);
        let asked = Answering::asked();
        assert!(asked >= 3 && asked % 3 == 0, "{asked}");
        let others = (usize::from(COUNT) - 2) * EACH * BYTES;
        assert!(objects.len() >= fit(others, 200), "{}", objects.len());
        let all = others + EACH * BYTES;
        assert!(objects.len() < fit(all, 200), "{}", objects.len());
        free_all(&HEAP, objects, 200);
        Answering::run_on(1);
    });
    Answering::run_on(1);
    let object = get(&HEAP, 500);
    assert!(Answering::asked() <= 1, "nobody is inside any more");
    free(&HEAP, object, 500);
    Answering::run_on(0);
    let (objects, _) = fill(&HEAP, 200);
    let all = (usize::from(COUNT) - 1) * EACH * BYTES;
    assert!(objects.len() >= fit(all, 200), "{}", objects.len());
    free_all(&HEAP, objects, 200);
}

/// Memory that offline CPUs keep is used before the heap grows, and they go on when they return.
#[test]
fn cpus_that_are_offline_are_drained_from_outside() {
    let heap = new_heap();
    let mut kept = Vec::new();
    for round in 0..3_u8 {
        for cpu in 1..COUNT {
            Answering::run_on(cpu);
            Answering::set_online(cpu, true);
            let objects: Vec<_> = (0..EACH).map(|_| get(&heap, BYTES)).collect();
            for (number, object) in objects.into_iter().enumerate() {
                if number % 100 == 0 {
                    // SAFETY: the object has so many bytes.
                    unsafe { object.write_bytes(round, BYTES) };
                    kept.push((object, round));
                } else {
                    free(&heap, object, BYTES);
                }
            }
            check(&heap, kept.len());
            Answering::set_online(cpu, false);
        }
        Answering::run_on(0);
        let before = heap.stats();
        let mut objects = Vec::new();
        while objects.len() < fit(3 * EACH * BYTES, 200) {
            objects.push(get(&heap, 200));
        }
        let after = heap.stats();
        if round > 0 {
            assert_eq!(after.owned_pages, before.owned_pages, "{round}");
        }
        for object in objects {
            free(&heap, object, 200);
        }
        check(&heap, kept.len());
    }
    // Frees of the objects of CPUs that are offline, and that were drained.
    for (object, round) in kept {
        for at in [0, BYTES - 1] {
            // SAFETY: the byte is the object's.
            let byte = unsafe { object.add(at) };
            // SAFETY: as above.
            assert_eq!(unsafe { byte.read() }, round);
        }
        free(&heap, object, BYTES);
    }
    all_goes_back(&heap);
    for cpu in 1..COUNT {
        Answering::set_online(cpu, true);
        Answering::run_on(cpu);
        let object = get(&heap, BYTES);
        let next = alloc_at_once(&heap, layout(BYTES, 8)).expect("the spans are its own again");
        free(&heap, next, BYTES);
        free(&heap, object, BYTES);
    }
    check(&heap, 0);
}
