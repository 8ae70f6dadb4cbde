//! A program whose allocator is the heap: collections of the standard library, and threads that
//! free each other's objects.

extern crate alloc;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread;

use archipelago_host::HostHeap;

#[global_allocator]
static HEAP: HostHeap = HostHeap::new();

/// One test runs at a time, so that what it checks is a quiet heap.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks the heap. The thread that runs the tests uses it as well, so a quiet moment is waited
/// for.
fn check_heap() {
    let mut verified = HEAP.verify();
    for _ in 0..100 {
        if verified.is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
        verified = HEAP.verify();
    }
    assert_eq!(verified, Ok(()));
}

#[test]
fn collections_hold_what_is_put_into_them() {
    let _alone = alone();
    let mut sorted = BTreeMap::new();
    let mut hashed = HashMap::new();
    for number in 0..20_000_u32 {
        let key = number.wrapping_mul(2_654_435_761);
        sorted.insert(key, number.to_string());
        hashed.insert(number.to_string(), key);
    }
    assert!(
        sorted
            .iter()
            .all(|(key, text)| hashed.get(text) == Some(key))
    );
    let mut bytes: Vec<u8> = Vec::new();
    for number in 0..3_000_000_u32 {
        bytes.push(number.to_le_bytes()[0]);
    }
    assert!(
        (0_u32..)
            .zip(&bytes)
            .all(|(number, byte)| number.to_le_bytes()[0] == *byte)
    );
    bytes.truncate(10);
    bytes.shrink_to_fit();
    assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(vec![0_u64; 1 << 20].iter().all(|word| *word == 0));
    check_heap();
}

/// An object with a pattern: its number in every word.
struct Object(Box<[usize]>);

impl Object {
    fn new(number: usize) -> Self {
        Self(vec![number; 1 + number % 100].into())
    }

    fn check(self) -> usize {
        let number = self.0[0];
        assert_eq!(self.0.len(), 1 + number % 100);
        assert!(
            self.0.iter().all(|word| *word == number),
            "{number} was overwritten"
        );
        number
    }
}

#[test]
fn a_thread_frees_what_another_allocates() {
    const OBJECTS: usize = 100_000;
    let _alone = alone();
    let (sender, receiver) = mpsc::sync_channel(1000);
    let producer = thread::spawn(move || {
        for number in 0..OBJECTS {
            sender
                .send(Object::new(number))
                .expect("the consumer is there");
        }
    });
    let checked = receiver.into_iter().map(Object::check);
    assert!(checked.eq(0..OBJECTS), "the objects come in their order");
    producer.join().expect("no panic");
    check_heap();
}

#[test]
fn threads_exchange_objects_at_random() {
    const THREADS: usize = 8;
    const EXCHANGES: usize = 30_000;
    let _alone = alone();
    let places: Vec<Mutex<Option<Object>>> = (0..64).map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let places = &places;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed as u64);
                let mut own = VecDeque::new();
                for _ in 0..EXCHANGES {
                    let place = &places[random.usize(..places.len())];
                    let object = Object::new(random.usize(..1_000_000));
                    let found = place.lock().expect("no panic").replace(object);
                    own.extend(found);
                    if own.len() > 100 {
                        own.pop_front().map(Object::check);
                    }
                }
                own.into_iter().for_each(|object| {
                    object.check();
                });
            });
        }
    });
    places.into_iter().for_each(|place| {
        place.into_inner().expect("no panic").map(Object::check);
    });
    check_heap();
}

#[test]
fn threads_come_and_go_and_what_they_allocated_stays() {
    let _alone = alone();
    let kept = Arc::new(RwLock::new(Vec::new()));
    for round in 0..50 {
        let threads: Vec<_> = (0..10)
            .map(|number| {
                let kept = Arc::clone(&kept);
                thread::spawn(move || {
                    let objects: Vec<_> = (0..100).map(|n| Object::new(n + number)).collect();
                    let mut kept = kept.write().expect("no panic");
                    kept.extend(objects.into_iter().skip(round));
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic"));
    }
    let kept = Arc::into_inner(kept)
        .expect("the threads are gone")
        .into_inner();
    let kept = kept.expect("no panic");
    assert_eq!(
        kept.len(),
        (0..50).map(|round| 10 * (100 - round)).sum::<usize>()
    );
    kept.into_iter().for_each(|object| {
        object.check();
    });
    check_heap();
}

#[test]
fn many_threads_grow_and_scavenge_at_once() {
    let _alone = alone();
    thread::scope(|scope| {
        for seed in 0..6 {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..200 {
                    let bytes = random.usize(1..2 << 20);
                    let mut large = vec![0_u8; bytes];
                    assert!(large.iter().all(|byte| *byte == 0));
                    large.fill(0xFF);
                    if random.u8(..) < 64 {
                        HEAP.scavenge(random.usize(..1000))
                            .expect("interrupts are enabled");
                    }
                }
            });
        }
    });
    check_heap();
}
