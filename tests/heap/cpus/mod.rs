//! Spans that CPUs own: what was true of all spans is true of them.

mod answering;
mod drained;
mod handed_over;
mod kept;
mod large;
mod pressure;
mod resized;

use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::NonNull;
use std::sync::mpsc;
use std::thread;

use archipelago::kernels::SingleCpu;
use archipelago::{AllocFlags, Heap, Purpose, alloc_at_once};
use archipelago_api::{CpuId, Fault, Kernel, Machine};
#[cfg(target_pointer_width = "64")]
use archipelago_sim::X86_64;
use archipelago_sim::{Hosted, HostedCpus, Plain32, Sim, SimGeometry};
use archipelago_testing::{layout, lone_window, on_every_geometry};

type OwnHeap<G, K = HostedCpus> = Heap<Sim<G>, K>;

const NONE: AllocFlags = AllocFlags::empty();

/// A heap that is large enough for the blocks of its CPUs, which are there.
fn heap<G: SimGeometry, K: Kernel>() -> Option<Box<OwnHeap<G, K>>> {
    let heap: Box<OwnHeap<G, K>> = Box::default();
    let bytes = G::GEOMETRY.last_offset().value() / 2;
    let window = lone_window::<G>(bytes.min(64 << 20));
    heap.init(&[window], Sim::default()).ok()?;
    // The first request makes the blocks, and the next ones use them.
    let first = get(&heap, 8);
    free(&heap, first, 8);
    Some(heap)
}

fn get<G: SimGeometry, K: Kernel>(heap: &OwnHeap<G, K>, bytes: usize) -> NonNull<u8> {
    heap.allocate(layout(bytes, 8), NONE)
        .expect("memory")
        .cast()
}

fn free<G: SimGeometry, K: Kernel>(heap: &OwnHeap<G, K>, object: NonNull<u8>, bytes: usize) {
    // SAFETY: the object was allocated with this layout, and nothing uses it.
    unsafe { heap.deallocate(object, layout(bytes, 8)) };
}

fn check<G: SimGeometry, K: Kernel>(heap: &OwnHeap<G, K>, live: usize) {
    let stats = heap.stats();
    assert_eq!(heap.verify(), Ok(()), "{stats}");
    assert_eq!(stats.small_objects + stats.large_objects, live, "{stats}");
}

/// Checks that nothing is live, and that no CPU keeps a page once the heap is scavenged.
fn all_goes_back<G: SimGeometry, K: Kernel>(heap: &OwnHeap<G, K>) {
    check(heap, 0);
    heap.scavenge(usize::MAX).expect("not busy");
    check(heap, 0);
    assert_eq!(heap.stats().of(Purpose::Objects), 0);
}

/// An object that can be sent to another thread.
struct Sent(NonNull<u8>);

// SAFETY: whoever has the object is its only user.
unsafe impl Send for Sent {}

/// Objects of many sizes and alignments come and go, and keep what was written to them.
fn keep_contents<G: SimGeometry, K: Kernel>() {
    let Some(heap) = heap::<G, K>() else {
        return;
    };
    let mut random = fastrand::Rng::with_seed(7);
    let mut live: Vec<(NonNull<u8>, Layout, u8)> = Vec::new();
    for step in 0..20_000_u32 {
        if random.bool() && live.len() < 400 {
            let size = random.usize(1..if step % 10 == 0 { 9000 } else { 300 });
            let layout = layout(size, 1 << random.usize(0..8));
            let zeroed = random.bool();
            let flags = if zeroed { AllocFlags::ZEROED } else { NONE };
            let memory = heap.allocate(layout, flags).expect("memory");
            assert!(memory.len() >= size);
            let start: NonNull<u8> = memory.cast();
            assert_eq!(start.addr().get() % layout.align(), 0);
            let mark = random.u8(..);
            for at in 0..memory.len() {
                // SAFETY: the byte is the object's.
                let byte = unsafe { start.add(at) };
                // SAFETY: as above.
                assert!(!zeroed || unsafe { byte.read() } == 0, "{layout:?}");
                // SAFETY: as above.
                unsafe { byte.write(mark) };
            }
            live.push((start, layout, mark));
        } else if !live.is_empty() {
            let (start, layout, mark) = live.swap_remove(random.usize(..live.len()));
            for at in 0..layout.size() {
                // SAFETY: the byte is the object's.
                let byte = unsafe { start.add(at) };
                // SAFETY: as above.
                let byte = unsafe { byte.read() };
                assert_eq!(byte, mark, "{layout:?}");
            }
            // SAFETY: the object was allocated with this layout, and nothing uses it.
            unsafe { heap.deallocate(start, layout) };
        }
        if step % 2000 == 0 {
            check(&heap, live.len());
        }
    }
    for (start, layout, _) in live {
        // SAFETY: as above.
        unsafe { heap.deallocate(start, layout) };
    }
    all_goes_back(&heap);
}

fn objects_keep_their_contents<G: SimGeometry>() {
    keep_contents::<G, HostedCpus>();
    keep_contents::<G, SingleCpu<Hosted>>();
}

/// One CPU allocates and another frees: the memory does not grow, although the consumer keeps an
/// object of each span.
fn objects_go_to_another_cpu<G: SimGeometry>() {
    const ROUNDS: usize = 20;
    const EACH: usize = 2000;
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let (heap, mut peaks) = (&*heap, Vec::new());
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel::<Vec<Sent>>();
        let (done, freed) = mpsc::channel();
        scope.spawn(move || {
            Hosted::set_cpu(CpuId(1));
            let mut kept = Vec::new();
            for objects in receive {
                for (number, Sent(object)) in objects.into_iter().enumerate() {
                    if number % 100 == 0 {
                        kept.push(object);
                    } else {
                        free(heap, object, 40);
                    }
                }
                // Those of the round before go.
                let old = kept.len().saturating_sub(EACH / 100);
                for object in kept.drain(..old) {
                    free(heap, object, 40);
                }
                done.send(()).expect("the producer waits");
            }
            for object in kept {
                free(heap, object, 40);
            }
        });
        Hosted::set_cpu(CpuId(0));
        for _ in 0..ROUNDS {
            let objects = (0..EACH).map(|_| Sent(get(heap, 40))).collect();
            send.send(objects).expect("the consumer waits");
            freed.recv().expect("the consumer is there");
            peaks.push(heap.stats().mapped_ready);
        }
        drop(send);
    });
    let steady = peaks[ROUNDS / 2];
    assert!(peaks[ROUNDS - 1] <= steady + steady / 4, "{peaks:?}");
    all_goes_back(heap);
}

/// Several CPUs allocate, free their own objects, and free those of the others.
fn cpus_free_each_others_objects<G: SimGeometry>() {
    const CPUS: u16 = 3;
    const ROUNDS: usize = 300;
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let heap = &*heap;
    thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..CPUS).map(|_| mpsc::channel::<(Sent, usize)>()).unzip();
        for (cpu, receive) in (0..CPUS).zip(receivers) {
            let senders = senders.clone();
            scope.spawn(move || {
                Hosted::set_cpu(CpuId(cpu));
                let mut random = fastrand::Rng::with_seed(u64::from(cpu));
                for _ in 0..ROUNDS {
                    let sizes: Vec<_> = (0..20).map(|_| random.usize(1..700)).collect();
                    for bytes in sizes {
                        let object = get(heap, bytes);
                        let to = random.usize(..senders.len());
                        if senders[to].send((Sent(object), bytes)).is_err() {
                            free(heap, object, bytes);
                        }
                    }
                    while let Ok((Sent(object), bytes)) = receive.try_recv() {
                        free(heap, object, bytes);
                    }
                }
                drop(senders);
                for (Sent(object), bytes) in receive {
                    free(heap, object, bytes);
                }
            });
        }
        drop(senders);
    });
    check(heap, 0);
}

/// The request that makes a CPU's block makes a span of it, which the CPU allocates from.
#[test]
fn the_first_request_is_the_blocks() {
    has_a_span_at_once::<Plain32, HostedCpus>();
    has_a_span_at_once::<Plain32, SingleCpu<Hosted>>();
    #[cfg(target_pointer_width = "64")]
    has_a_span_at_once::<X86_64, HostedCpus>();
    #[cfg(target_pointer_width = "64")]
    has_a_span_at_once::<X86_64, SingleCpu<Hosted>>();
}

fn has_a_span_at_once<G: SimGeometry, K: Kernel>() {
    Hosted::set_cpu(CpuId(0));
    let heap: Box<OwnHeap<G, K>> = Box::default();
    heap.init(&[lone_window::<G>(64 << 20)], Sim::default())
        .expect("a good window");
    let object = get(&heap, 8);
    let next = alloc_at_once(&heap, layout(8, 8)).expect("there is a span of the size");
    free(&heap, next, 8);
    free(&heap, object, 8);
    check(&heap, 0);
}

/// Frees `object` on CPU `cpu`, and returns the fault that was found.
fn free_on<G: SimGeometry>(
    heap: &OwnHeap<G>,
    cpu: u16,
    object: NonNull<u8>,
    bytes: usize,
) -> Option<Fault> {
    let object = Sent(object);
    thread::scope(|scope| {
        let freer = scope.spawn(move || {
            let Sent(object) = { object };
            Hosted::set_cpu(CpuId(cpu));
            // SAFETY: the object is the test's, if it is one.
            unsafe { heap.try_deallocate(object, layout(bytes, 8)) }
        });
        let freed = freer.join().expect("no panic");
        freed.err().map(|report| report.fault)
    })
}

/// Every way to free twice is found at the free, whoever owns the span and whoever frees.
fn a_double_free_is_found_at_once<G: SimGeometry>() {
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    Hosted::set_cpu(CpuId(0));
    let double = Some(Fault::DoubleFree);
    for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
        for bytes in [16, 40, 64, 500, 2000] {
            let objects: Vec<_> = (0..40).map(|_| get(&heap, bytes)).collect();
            let victim = objects[7];
            assert_eq!(free_on(&heap, first, victim, bytes), None, "{bytes}");
            let again = free_on(&heap, second, victim, bytes);
            assert_eq!(again, double, "{bytes} bytes on {first}, then on {second}");
            for object in objects.into_iter().filter(|object| *object != victim) {
                free(&heap, object, bytes);
            }
        }
    }
    check(&heap, 0);
}

/// Other misuse is found, too, on the owner's CPU and on another.
fn other_misuse_is_found<G: SimGeometry>() {
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    Hosted::set_cpu(CpuId(0));
    let objects: Vec<_> = (0..10).map(|_| get(&heap, 64)).collect();
    let victim = objects[3];
    for cpu in [0, 1] {
        // SAFETY: the object has so many bytes.
        let inside = unsafe { victim.add(16) };
        let fault = free_on(&heap, cpu, inside, 64);
        assert_eq!(fault, Some(Fault::InteriorPointer));
        let fault = free_on(&heap, cpu, victim, 200);
        assert_eq!(fault, Some(Fault::WrongLayout));
        let foreign = NonNull::from(&objects).cast();
        assert_eq!(
            free_on(&heap, cpu, foreign, 64),
            Some(Fault::ForeignPointer)
        );
    }
    for object in objects {
        free(&heap, object, 64);
    }
    check(&heap, 0);
}

/// Memory that other CPUs' spans hold is found before a request is refused.
fn blocks_are_drained_before_a_refusal<G: SimGeometry>() {
    let heap: Box<OwnHeap<G>> = Box::default();
    let machine = Sim::<G>::default();
    let bytes = G::GEOMETRY.last_offset().value() / 2;
    let window = lone_window::<G>(bytes.min(64 << 20));
    if heap.init(&[window], machine).is_err() || !Sim::<G>::DECOMMITS {
        return;
    }
    for cpu in 0..4 {
        Hosted::set_cpu(CpuId(cpu));
        let objects: Vec<_> = (0..2000).map(|_| get(&heap, 100)).collect();
        objects
            .into_iter()
            .for_each(|object| free(&heap, object, 100));
    }
    Hosted::set_cpu(CpuId(0));
    heap.set_limit(heap.stats().mapped_ready);
    let objects: Vec<_> = (0..1000).map(|_| get(&heap, 200)).collect();
    objects
        .into_iter()
        .for_each(|object| free(&heap, object, 200));
    check(&heap, 0);
}

#[test]
fn the_kernel_says_how_many_cpus_own_spans() {
    let cpus = [Hosted::CPUS, HostedCpus::CPUS];
    assert_eq!(cpus, [0, 8], "other tests have central spans alone");
    assert_eq!(<SingleCpu<Hosted>>::CPUS, 1);
}

on_every_geometry!(
    objects_keep_their_contents,
    objects_go_to_another_cpu,
    cpus_free_each_others_objects,
    a_double_free_is_found_at_once,
    other_misuse_is_found,
    blocks_are_drained_before_a_refusal,
);
