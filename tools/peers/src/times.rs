//! Times of requests, with one thread, two and four.
//!
//! A round is short, and the heaps take turns round by round, so that what else the machine does
//! meets all of them alike. In a round each thread makes the same requests, all at once; its time
//! is that from the start to the end of the last thread.

use core::hint;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use archipelago_workloads::{Row, Scale, Workload};

use crate::Done;
use crate::heaps::Heap;

/// Numbers of threads.
const THREADS: [usize; 3] = [1, 2, 4];

/// The requests of a round: of up to 200 bytes, 300 live.
const ROW: &str = "c300";

/// Measures the heaps of these names, and prints a line for each with each number of threads.
///
/// # Errors
/// If the number of rounds is none, or a name is not a heap's.
pub(crate) fn print(rounds: &str, names: &[&str]) -> Done {
    let rounds: usize = rounds
        .parse()
        .map_err(|_| "the number of rounds is a number")?;
    let row = Row::find(ROW).ok_or("a row")?;
    let work = row.make(Scale::Full);
    let heaps: Option<Vec<_>> = names.iter().map(|name| Heap::find(name)).collect();
    let heaps = heaps.ok_or("there is no such heap; `heaps` lists them")?;
    for threads in THREADS {
        let mut times = vec![Vec::with_capacity(rounds); heaps.len()];
        // The first rounds fill caches and heaps.
        for round in 0..rounds + 2 {
            for (heap, times) in heaps.iter().zip(&mut times) {
                if threads > 1 && !heap.is_shared {
                    continue;
                }
                let nanoseconds = one_round(heap, &work, threads);
                if round >= 2 {
                    times.push(nanoseconds);
                }
            }
            if round % 10 == 0 {
                eprintln!("times: {threads} threads, round {round} of {rounds}");
            }
        }
        for (heap, times) in heaps.iter().zip(&mut times) {
            if times.is_empty() {
                continue;
            }
            times.sort_by(f64::total_cmp);
            let at = |percent: usize| times[(times.len() - 1) * percent / 100];
            let [least, half, most, all] = [0, 50, 90, 99].map(at);
            let name = heap.name;
            println!("time {name} {threads} {least:.2} {half:.2} {most:.2} {all:.2}");
        }
    }
    Ok(())
}

/// The nanoseconds of a request of one thread in a round.
fn one_round(heap: &Heap, work: &Workload, threads: usize) -> f64 {
    let heap = heap.open();
    let (ready, go) = (AtomicUsize::new(0), AtomicBool::new(false));
    let run = || {
        let mut slots = work.slots();
        // The thread's own part of the heap is made before the round begins.
        work.repeat(&mut slots, heap);
        ready.fetch_add(1, Ordering::Release);
        while !go.load(Ordering::Acquire) {
            hint::spin_loop();
            thread::yield_now();
        }
        work.repeat(&mut slots, heap);
        Instant::now()
    };
    let elapsed = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        while ready.load(Ordering::Acquire) < threads {
            thread::yield_now();
        }
        let start = Instant::now();
        go.store(true, Ordering::Release);
        let ends = all.into_iter().filter_map(|thread| thread.join().ok());
        ends.max().map(|end| end - start)
    });
    let nanoseconds = elapsed.map_or(f64::NAN, |elapsed| elapsed.as_secs_f64() * 1e9);
    nanoseconds / requests(work)
}

#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
fn requests(work: &Workload) -> f64 {
    work.all_actions() as f64
}
