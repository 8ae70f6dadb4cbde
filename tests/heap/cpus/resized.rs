//! Changes of size through `GlobalAlloc`, which find the CPU's own objects by a way of their own.

use core::alloc::GlobalAlloc;

use super::*;

/// An object, and the byte that it is full of.
struct Filled {
    start: NonNull<u8>,
    layout: Layout,
    mark: u8,
}

fn bytes(start: NonNull<u8>, count: usize) -> Vec<u8> {
    // SAFETY: the object has so many bytes.
    unsafe { core::slice::from_raw_parts(start.as_ptr(), count) }.to_vec()
}

impl Filled {
    fn new<G: SimGeometry, K: Kernel>(heap: &OwnHeap<G, K>, layout: Layout, mark: u8) -> Self {
        // SAFETY: the layout has bytes.
        let start = NonNull::new(unsafe { heap.alloc(layout) }).expect("memory");
        // SAFETY: the object has so many bytes.
        unsafe { start.write_bytes(mark, layout.size()) };
        Self {
            start,
            layout,
            mark,
        }
    }

    /// Changes the size, and returns whether the object has moved.
    fn resize<G: SimGeometry, K: Kernel>(&mut self, heap: &OwnHeap<G, K>, size: usize) -> bool {
        // SAFETY: the object has this layout, and nothing else uses it.
        let memory = unsafe { heap.realloc(self.start.as_ptr(), self.layout, size) };
        let memory = NonNull::new(memory).expect("memory");
        assert_eq!(memory.addr().get() % self.layout.align(), 0);
        let kept = bytes(memory, size.min(self.layout.size()));
        assert!(kept.iter().all(|byte| *byte == self.mark), "{size}");
        let has_moved = memory != self.start;
        let layout = layout(size, self.layout.align());
        // SAFETY: the object has so many bytes.
        unsafe { memory.write_bytes(self.mark, size) };
        (self.start, self.layout) = (memory, layout);
        has_moved
    }

    fn free<G: SimGeometry, K: Kernel>(self, heap: &OwnHeap<G, K>) {
        let filled = bytes(self.start, self.layout.size());
        assert!(filled.iter().all(|byte| *byte == self.mark));
        // SAFETY: the object has this layout, and nothing uses it any more.
        unsafe { heap.dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Objects change their sizes among all classes and beyond, and keep what they have.
fn objects_keep_what_they_have<G: SimGeometry>() {
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let mut random = fastrand::Rng::with_seed(11);
    let first = |mark: u8| layout(1 + usize::from(mark) * 40, 1_usize << (mark % 8));
    let mut live: Vec<_> = (0..60)
        .map(|mark| Filled::new(&heap, first(mark), mark))
        .collect();
    for _ in 0..4000 {
        let (at, most) = (random.usize(..live.len()), 1 << random.usize(1..16));
        live[at].resize(&heap, 1 + random.usize(..most));
    }
    check(&heap, live.len());
    for object in live {
        object.free(&heap);
    }
    all_goes_back(&heap);
}

/// An object stays in its slot as long as the slot's class serves it, and no longer.
fn an_object_stays_in_its_slot_within_its_class<G: SimGeometry>() {
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let mut object = Filled::new(&heap, layout(100, 8), 9);
    let whole = heap.allocate(layout(100, 8), NONE).expect("memory").len();
    assert!(!object.resize(&heap, whole) && !object.resize(&heap, 100));
    assert!(object.resize(&heap, whole + 1) && object.resize(&heap, 8));
    check(&heap, 2);
    object.free(&heap);
}

/// An object of another CPU, and one that another has freed a neighbour of, takes the longer way.
fn objects_of_other_cpus_are_resized<G: SimGeometry>() {
    let Some(heap) = heap::<G, HostedCpus>() else {
        return;
    };
    let heap = &*heap;
    let sent: Vec<_> = (0..40).map(|_| Sent(get(heap, 64))).collect();
    let (kept, passed): (Vec<_>, Vec<_>) = {
        let mut sent = sent;
        let passed = sent.split_off(20);
        (sent, passed)
    };
    thread::scope(|scope| {
        scope.spawn(move || {
            for (at, Sent(start)) in passed.into_iter().enumerate() {
                // SAFETY: the object has so many bytes, and is this thread's.
                unsafe { start.write_bytes(3, 64) };
                let (layout, mark) = (layout(64, 8), 3);
                let mut object = Filled {
                    start,
                    layout,
                    mark,
                };
                assert!(object.resize(heap, 65 + at * 100));
                object.free(heap);
            }
        });
    });
    for Sent(start) in kept {
        // SAFETY: the object has so many bytes.
        unsafe { start.write_bytes(4, 64) };
        let (layout, mark) = (layout(64, 8), 4);
        let mut object = Filled {
            start,
            layout,
            mark,
        };
        assert!(!object.resize(heap, 60) && object.resize(heap, 1000));
        object.free(heap);
    }
    check(heap, 0);
}

on_every_geometry!(
    objects_keep_what_they_have,
    an_object_stays_in_its_slot_within_its_class,
    objects_of_other_cpus_are_resized
);
