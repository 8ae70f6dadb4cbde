//! Threads that are CPUs with spans of their own: producers and consumers, threads that end, and
//! blocks that are drained from outside. Under ThreadSanitizer (`cargo xtask tsan`) each access of
//! an object has to be ordered by the heap alone.
#![expect(clippy::expect_used, reason = "a test fails where its helpers do")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::env;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use archipelago::Purpose;
use archipelago_host::{AllocFlags, Heap, Host, HostKernel, Kernel, Window};

type CpuHeap = Heap<Host, HostKernel>;

/// Bytes of address space of a heap.
const WINDOW: usize = 64 << 20;

fn heap() -> CpuHeap {
    /// Tests at once would find the same range.
    static FINDS: Mutex<()> = Mutex::new(());
    let _finds = FINDS.lock();
    let heap = CpuHeap::new();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
    // SAFETY: a new mapping that replaces none disturbs nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), WINDOW, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "address space");
    // SAFETY: the range was mapped just now. It is free for the heap afterwards.
    unsafe { libc::munmap(start, WINDOW) };
    let window = Window::new(start.expose_provenance(), WINDOW);
    heap.init(&[window], Host::new().expect("small pages"))
        .expect("the range is free");
    heap
}

fn check(heap: &CpuHeap) {
    let stats = heap.stats();
    assert_eq!(heap.verify(), Ok(()), "{stats}");
    assert_eq!(stats.small_objects + stats.large_objects, 0, "{stats}");
}

/// An object with its size in its first byte's place and everywhere else.
struct Object {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: whoever has the object is its only user.
unsafe impl Send for Object {}

impl Object {
    fn new(heap: &CpuHeap, random: &mut fastrand::Rng) -> Self {
        const SIZES: [usize; 8] = [8, 16, 24, 64, 100, 300, 1000, 9000];
        let layout = Layout::from_size_align(SIZES[random.usize(..SIZES.len())], 8);
        let layout = layout.expect("a layout");
        // SAFETY: the layout has bytes.
        let start = NonNull::new(unsafe { heap.alloc(layout) }).expect("memory");
        let object = Self { start, layout };
        for place in object.places() {
            // SAFETY: the byte is the object's.
            unsafe { place.write(object.mark()) };
        }
        object
    }

    fn mark(&self) -> u8 {
        self.layout.size().to_le_bytes()[0] ^ self.start.addr().get().to_le_bytes()[1]
    }

    /// The first byte, the last one, and some between.
    fn places(&self) -> impl Iterator<Item = NonNull<u8>> {
        let last = self.layout.size() - 1;
        let places = (0..last).step_by(61).chain([last]);
        // SAFETY: the byte is the object's.
        places.map(|at| unsafe { self.start.add(at) })
    }

    fn free(self, heap: &CpuHeap) {
        for place in self.places() {
            // SAFETY: the byte is the object's, and was written.
            let byte = unsafe { place.read() };
            assert_eq!(byte, self.mark(), "{:?} was overwritten", self.start);
        }
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { heap.dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Places through which threads pass objects on.
struct Exchange([Mutex<Option<Object>>; 64]);

impl Exchange {
    fn new() -> Self {
        Self([const { Mutex::new(None) }; 64])
    }

    /// Puts `object` in a place, and returns what was there.
    fn pass(&self, object: Option<Object>, random: &mut fastrand::Rng) -> Option<Object> {
        let place = &self.0[random.usize(..self.0.len())];
        let mut held = place.lock().expect("no panic");
        core::mem::replace(&mut held, object)
    }

    fn free_all(self, heap: &CpuHeap) {
        for place in self.0 {
            let object = place.into_inner().expect("no panic");
            object.into_iter().for_each(|object| object.free(heap));
        }
    }
}

const THREADS: u64 = 6;
/// Rounds of each thread: as many as take seconds.
const ROUNDS: usize = if IS_SANITIZED { 10_000 } else { 2000 };

#[test]
fn producers_allocate_and_consumers_free() {
    let (heap, exchange) = (heap(), Exchange::new());
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (heap, exchange) = (&heap, &exchange);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..ROUNDS {
                    let object = (seed % 2 == 0).then(|| Object::new(heap, &mut random));
                    let found = exchange.pass(object, &mut random);
                    found.into_iter().for_each(|object| object.free(heap));
                }
            });
        }
    });
    exchange.free_all(&heap);
    check(&heap);
}

#[test]
fn threads_end_and_others_free_their_objects_and_take_their_numbers() {
    let (heap, exchange) = (heap(), Exchange::new());
    for round in 0..10 {
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (heap, exchange) = (&heap, &exchange);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(round * THREADS + seed);
                    let own: Vec<_> = (0..100).map(|_| Object::new(heap, &mut random)).collect();
                    for object in own {
                        let found = exchange.pass(Some(object), &mut random);
                        found.into_iter().for_each(|object| object.free(heap));
                    }
                });
            }
        });
    }
    exchange.free_all(&heap);
    check(&heap);
}

/// Slots that a thread frees before it ends, and objects that it leaves.
const FREED: usize = 1_000_000;
const LEFT: usize = 5_000;
const SMALL: Layout = Layout::new::<[usize; 2]>();
const FREED_BYTES: usize = FREED * SMALL.size();

/// Objects of a thread that has ended, each with its number in it.
struct Left(Vec<NonNull<usize>>);

// SAFETY: whoever has the objects is their only user.
unsafe impl Send for Left {}

impl Left {
    fn check_and_free(self, heap: &CpuHeap) {
        assert_eq!(heap.verify(), Ok(()));
        assert_eq!(heap.stats().small_objects, LEFT);
        for (number, object) in self.0.into_iter().enumerate() {
            // SAFETY: the object was written, and nobody else uses it.
            assert_eq!(unsafe { object.read() }, number);
            // SAFETY: the object was allocated with this layout, and nothing uses it.
            unsafe { heap.dealloc(object.as_ptr().cast(), SMALL) };
        }
        check(heap);
    }
}

/// Runs a thread which leaves a million free slots in its spans, and those of its objects that
/// `is_left` names.
fn leave_slots(heap: &CpuHeap, is_left: fn(usize) -> bool) -> Left {
    // This thread keeps a number of its own, which no other one takes.
    let _ = HostKernel::current_cpu();
    let work = || {
        // SAFETY: the layout has bytes.
        let get = |_| NonNull::new(unsafe { heap.alloc(SMALL) }).expect("memory");
        let objects: Vec<_> = (0..LEFT + FREED).map(get).collect();
        let mut left = Vec::new();
        for (number, object) in objects.into_iter().enumerate() {
            if is_left(number) {
                let object = object.cast();
                // SAFETY: the object has so many bytes.
                unsafe { object.write(left.len()) };
                left.push(object);
            } else {
                // SAFETY: the object was allocated with this layout, and nothing uses it.
                unsafe { heap.dealloc(object.as_ptr(), SMALL) };
            }
        }
        Left(left)
    };
    thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}

#[test]
fn slots_of_a_thread_that_has_ended_go_back_with_a_scavenge() {
    let heap = heap();
    let left = leave_slots(&heap, |number| number < LEFT);
    heap.scavenge(usize::MAX).expect("the machine is free");
    let bytes = heap.stats().of(Purpose::Objects);
    assert!(bytes < FREED_BYTES / 100, "{bytes} of {FREED_BYTES}");
    left.check_and_free(&heap);
}

#[test]
fn slots_of_a_thread_that_has_ended_serve_others_before_the_heap_grows() {
    let heap = heap();
    // One in each span, so that no page is free.
    let left = leave_slots(&heap, |number| number % (FREED / LEFT + 1) == 0);
    let owned = heap.stats().owned_pages;
    // SAFETY: the layout has bytes.
    let get = |_| unsafe { heap.alloc(SMALL) };
    let objects: Vec<_> = (0..FREED).map(get).collect();
    assert_eq!(heap.stats().owned_pages, owned, "the heap has grown");
    for object in objects {
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { heap.dealloc(object, SMALL) };
    }
    left.check_and_free(&heap);
}

#[test]
fn blocks_are_drained_while_their_cpus_use_them() {
    let (heap, exchange, ends) = (heap(), Exchange::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        let users: Vec<_> = (0..THREADS)
            .map(|seed| {
                let (heap, exchange) = (&heap, &exchange);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let mut own = Vec::new();
                    for round in 0..ROUNDS {
                        own.push(Object::new(heap, &mut random));
                        let passed = own.pop();
                        own.extend(exchange.pass(passed, &mut random));
                        if round % 50 == 0 {
                            own.drain(..).for_each(|object| object.free(heap));
                        }
                    }
                    own.into_iter().for_each(|object| object.free(heap));
                })
            })
            .collect();
        // A request that is refused drains all blocks.
        let (heap, ends) = (&heap, &ends);
        let drainer = scope.spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let more = Layout::from_size_align(2 * WINDOW, 8).expect("a layout");
                let refused = heap.allocate(more, AllocFlags::empty());
                assert!(refused.is_err(), "the window is smaller");
                let _ = heap.scavenge(10);
                thread::yield_now();
            }
        });
        for user in users {
            user.join().expect("no panic");
        }
        ends.store(true, Ordering::Relaxed);
        drainer.join().expect("no panic");
    });
    exchange.free_all(&heap);
    check(&heap);
}

/// Whether this program is compiled for ThreadSanitizer.
const IS_SANITIZED: bool = option_env!("ARCHIPELAGO_TSAN").is_some();

/// The variable that makes this program race.
const RACE: &str = "ARCHIPELAGO_HOST_RACE";

/// The exit code of a program in which ThreadSanitizer has found something.
const FOUND: i32 = 66;

/// Passes an object to another thread in a way that orders nothing.
fn race() {
    let heap = heap();
    let passed = AtomicPtr::<u64>::new(ptr::null_mut());
    let ends = AtomicBool::new(false);
    let layout = Layout::new::<u64>();
    // Each thread takes its number first, which orders it after others.
    let _ = HostKernel::current_cpu();
    thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: the layout has bytes.
            let object: *mut u64 = unsafe { heap.alloc(layout) }.cast();
            // SAFETY: the object is this thread's.
            unsafe { object.write(7) };
            passed.store(object, Ordering::Relaxed);
            // The end of the thread would order what it did before what others do.
            while !ends.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        });
        let mut object: *mut u64 = ptr::null_mut();
        while object.is_null() {
            thread::yield_now();
            object = passed.load(Ordering::Relaxed);
        }
        // SAFETY: none: this is the mistake. On most processors it is none.
        let read = unsafe { object.read() };
        ends.store(true, Ordering::Relaxed);
        assert!(read == 7 || read == 0, "{read}");
        // SAFETY: the object was allocated with this layout, and nothing uses it.
        unsafe { heap.dealloc(object.cast(), layout) };
    });
}

#[test]
fn a_race_is_reported_if_something_looks_for_races() {
    if env::var_os(RACE).is_some() {
        return race();
    }
    let own = env::current_exe().expect("this program");
    let mut command = Command::new(own);
    command.args(["--exact", "a_race_is_reported_if_something_looks_for_races"]);
    let output = command.env(RACE, "1").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    let expected = if IS_SANITIZED { FOUND } else { 0 };
    assert_eq!(output.status.code(), Some(expected), "{text}");
    assert_eq!(text.contains("data race"), IS_SANITIZED, "{text}");
}
